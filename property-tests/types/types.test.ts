/** The type checker and the run-time rules must agree on every call: on the shape and dtype, or on the whole message. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as language from '../../dsl/index.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { anyCall } from './calls.ts';
import { check } from './checker.ts';
import type { Verdict } from './checker.ts';

const CALLS = Number(process.env['TYPE_CALLS'] ?? 200);
const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

const NAMES = Object.keys(language).filter((name) => name !== 'layers' && name !== 'on').sort();
// as: the text of a call names exports only
const run = (code: string): Node | readonly Node[] => new Function(...NAMES, `return ${code};`)(...NAMES.map((name) => (language as Record<string, unknown>)[name])) as Node;

const showNode = (node: Node): string => `${JSON.stringify(node.shape)} ${node.dtype}`;
/** What happened at run time, in one line. */
const atRunTime = (code: string): string => {
  const result = run(code);
  const nodes = Array.isArray(result) ? (result as readonly Node[]) : [result as Node];
  const refused = nodes.find((node) => node.op === 'invalid');
  return refused === undefined ? `accepts ${nodes.map(showNode).join(' and ')}` : `refuses: ${String(refused.attributes['message'])}`;
};

const showTensors = (type: string): string =>
  [...type.matchAll(/Tensor<(?:readonly )?(\[[^\]]*\]), "(\w+)">/g)].map(([, shape, dtype]) => `${JSON.stringify(JSON.parse(shape!))} ${dtype}`).join(' and ');
/** What the checker said, in the same words. */
const atCompileTime = ({ type, error }: Verdict): string => {
  if (error === undefined) return `accepts ${showTensors(type.replace(/\s+/g, ' ').replaceAll('[ ', '[').replaceAll(' ]', ']'))}`;
  return `refuses: ${/is not assignable to (?:parameter of )?type '"(.*)"'\.$/s.exec(error)?.[1] ?? error}`;
};

test(`types and run time agree on ${CALLS} random calls (seed ${SEED})`, () => {
  const calls = fc.sample(anyCall, { numRuns: CALLS, seed: SEED });
  const verdicts = check(calls, NAMES);
  const outcomes = calls.map((code, i) => ({ code, types: atCompileTime(verdicts[i]!), run: atRunTime(code) }));
  expect(outcomes.filter((outcome) => outcome.types !== outcome.run)).toEqual([]);
  const refused = outcomes.filter((outcome) => outcome.run.startsWith('refuses')).length;
  expect(refused).toBeGreaterThan(CALLS / 10); // the generator makes right and wrong calls
  expect(refused).toBeLessThan((CALLS * 9) / 10);
});
