/** The type checker and the run-time rules must agree on every call: on the shape and dtype, or on the whole message. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as language from '../../dsl/index.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { anyCall } from './calls.ts';
import { checkAndRun } from './checker.ts';
import type { Verdict } from './checker.ts';

const CALLS = Number(process.env['TYPE_CALLS'] ?? 200);
const SEED = Number(process.env['SEED'] ?? 20250731);

const NAMES = Object.keys(language)
  .filter((name) => name !== 'layers' && name !== 'on')
  .sort();

const showNode = (node: Node): string => `${JSON.stringify(node.shape)} ${node.dtype}`;
/** What happened at run time, in one line. */
const atRunTime = (value: unknown): string => {
  const nodes = (Array.isArray(value) ? value : [value]) as readonly Node[]; // builders give a tensor or a list of them
  const refused = nodes.find((node) => node.op === 'invalid');
  return refused === undefined ? `accepts ${nodes.map(showNode).join(' and ')}` : `refuses: ${textAttribute(refused.attributes, 'message')}`;
};

const showTensors = (type: string): string =>
  [...type.matchAll(/Tensor<(?:readonly )?(\[[^\]]*\]), "(\w+)">/g)]
    .map(([, shape, dtype]) => `${JSON.stringify(JSON.parse(shape!))} ${dtype}`)
    .join(' and ');
/** What the checker said, in the same words. */
const atCompileTime = ({ type, error }: Verdict): string => {
  if (error === undefined) return `accepts ${showTensors(type.replace(/\s+/g, ' ').replaceAll('[ ', '[').replaceAll(' ]', ']'))}`;
  return `refuses: ${/is not assignable to (?:parameter of )?type '"(.*)"'\.$/s.exec(error)?.[1] ?? error}`;
};

test(`types and run time agree on ${CALLS} random calls (seed ${SEED})`, async () => {
  const calls = fc.sample(anyCall, { numRuns: CALLS, seed: SEED });
  const results = await checkAndRun(calls, NAMES);
  const outcomes = results.map((result, i) => ({ code: calls[i], types: atCompileTime(result), run: atRunTime(result.value) }));
  expect(outcomes.filter((outcome) => outcome.types !== outcome.run)).toEqual([]);
  const refused = outcomes.filter((outcome) => outcome.run.startsWith('refuses')).length;
  expect(refused).toBeGreaterThan(CALLS / 10); // the generator makes right and wrong calls
  expect(refused).toBeLessThan((CALLS * 9) / 10);
});
