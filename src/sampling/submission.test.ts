import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import type { BackendError, Executable, Recorder } from '../backend/backend.ts';
import type { Pace } from './pace.ts';
import { makeSubmission } from './submission.ts';

const LOST: BackendError = { kind: 'lost', message: 'gone' };

/** A recorder and a program that write down what happens. */
const scene = (refuse: (submit: number) => boolean = () => false) => {
  const events: string[] = [];
  let [submits, runs] = [0, 0];
  const recorder: Recorder = {
    submit: () => async () => {
      events.push(`submit ${++submits}`);
      return refuse(submits) ? E.left(LOST) : E.right(undefined);
    },
    done: () => async () => {
      const mine = submits;
      await Promise.resolve();
      events.push(`done ${mine}`);
      return E.right(undefined);
    },
  };
  const program: Executable = {
    run: (_inputs, { recorder: into, wait } = {}) => async () => {
      events.push(`${into === undefined ? (wait === false ? 'queue' : 'run') : 'record'} ${++runs}`);
      return E.right({});
    },
    dispose: () => undefined,
  };
  return { events, recorder, program };
};
const paceOf = (steps: number): Pace => ({ steps: () => steps, took: () => undefined });

test('steps are submitted together, told of in order when computed, and none is left behind', async () => {
  const { events, recorder, program } = scene();
  const submission = makeSubmission(recorder, paceOf(2));
  const told: number[] = [];
  for (let i = 0; i < 5; i++) expect(E.isRight(await submission.step(program, {}, () => told.push(i)))).toBe(true);
  expect(told).toEqual([0, 1]); // the second submission is under way, the fifth step recorded
  expect(E.isRight(await submission.finish())).toBe(true);
  expect(told).toEqual([0, 1, 2, 3, 4]);
  expect(events.filter((event) => !event.startsWith('record'))).toEqual(['submit 1', 'done 1', 'submit 2', 'done 2', 'submit 3', 'done 3']);
  await submission.finish();
  expect(events.filter((event) => event.startsWith('submit'))).toHaveLength(3);
});

test('a slow step runs alone, after what was recorded', async () => {
  const { events, recorder, program } = scene();
  let steps = 4;
  const submission = makeSubmission(recorder, { steps: () => steps, took: () => undefined });
  const told: string[] = [];
  await submission.step(program, {}, () => told.push('a'));
  await submission.between(program, {});
  steps = 1;
  await submission.step(program, {}, () => told.push('b'));
  await submission.between(program, {});
  expect(events).toEqual(['record 1', 'record 2', 'submit 1', 'done 1', 'run 3', 'queue 4']);
  expect(told).toEqual(['a', 'b']);
});

test('without a recorder every step is waited for', async () => {
  const { events, program } = scene();
  const submission = makeSubmission(undefined, paceOf(8));
  await submission.step(program, {}, () => undefined);
  expect(events).toEqual(['run 1']);
});

test('a refused submission is a failure of the step that asked for it', async () => {
  const { recorder, program } = scene((submit) => submit === 2);
  const submission = makeSubmission(recorder, paceOf(2));
  const told: number[] = [];
  const results = [];
  for (let i = 0; i < 4; i++) results.push(await submission.step(program, {}, () => told.push(i)));
  expect(results.map(E.isRight)).toEqual([true, true, true, false]);
  expect(results[3]).toEqual(E.left(LOST));
  expect(E.isRight(await submission.finish())).toBe(true);
  expect(told).toEqual([0, 1]);
});
