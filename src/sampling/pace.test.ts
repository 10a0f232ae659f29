import { expect, test } from 'vitest';
import { makePace } from './pace.ts';

test('as many steps as take a tenth of a second, within reason', () => {
  const pace = makePace(1024);
  expect(pace.steps()).toBe(1); // nothing is known yet
  pace.took(1, 20);
  expect(pace.steps()).toBe(5);
  pace.took(5, 50);
  expect(pace.steps()).toBe(10);
  pace.took(10, 0);
  expect(pace.steps()).toBe(16);
  pace.took(1, 3000);
  expect(pace.steps()).toBe(1);
});

test('large images wait in small numbers', () => {
  const pace = makePace(2 ** 22);
  pace.took(1, 1);
  expect(pace.steps()).toBe(4);
  const larger = makePace(2 ** 30);
  larger.took(1, 1);
  expect(larger.steps()).toBe(1);
});
