import { expect, test } from 'vitest';
import { calmPolling } from './polling.ts';

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const original = globalThis.setImmediate;

test('setImmediate is slow only while a wait is long, and comes back when the last one ends', async () => {
  const first = calmPolling();
  const second = calmPolling();
  expect(globalThis.setImmediate).toBe(original);
  await sleep(20);
  expect(globalThis.setImmediate).not.toBe(original);
  const called = await new Promise((resolve) => setImmediate((a: number, b: number) => resolve(a + b), 1, 2));
  expect(called).toBe(3);
  first();
  expect(globalThis.setImmediate).not.toBe(original);
  second();
  expect(globalThis.setImmediate).toBe(original);
});

test('a short wait changes nothing', async () => {
  calmPolling()();
  await sleep(20);
  expect(globalThis.setImmediate).toBe(original);
});

test('clearImmediate works for handles of both kinds', async () => {
  let calls = 0;
  const done = calmPolling();
  const before = setImmediate(() => calls++);
  clearImmediate(before);
  await sleep(20);
  const during = setImmediate(() => calls++);
  clearImmediate(during);
  await sleep(20);
  done();
  await sleep(5);
  expect(calls).toBe(0);
});
