/**
 * Random well-typed programs over all ops: graphs of up to 12 steps with shared nodes, broadcasts and views of views, and with
 * composites (softmax, norms, small networks) among the steps. Shrinking drops steps and simplifies choices.
 */
import fc from 'fast-check';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import type { DType } from '../../dsl/dtype.ts';
import { type Graph, inputName, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { printGraph } from '../../dsl/graph/print.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import type { Bounded } from '../../dsl/ops/definition.ts';
import type { OpName } from '../../dsl/ops/table.ts';
import type { Data } from '../harness/run-program.ts';
import { choices, drawFrom } from './draw.ts';
import { type Hint, HINTS } from './hints.ts';
import { PHRASES } from './phrases.ts';
import { largest, type Mode, openWorkshop, type Workshop } from './workshop.ts';

export interface RandomProgram {
  readonly graph: Graph;
  readonly data: Data;
  /** What the reference says of each output. */
  readonly want: Readonly<Record<string, Bounded>>;
}

interface Step {
  readonly hint: Hint;
  readonly choices: readonly number[];
}

const most = (values: Float64Array): number => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

/** Floats that a mode allows. Large padding stays: masks are made of it. */
const inRange = (mode: Mode, dtype: DType, size: number): boolean =>
  dtype === 'f16' ? size < 2 ** 14 : mode === 'exact' ? size < 2 ** 24 : size < 2 ** 40 || size === 1e30;
/** The share of a tensor's size that its error may be. */
const MOST_ERROR: Readonly<Partial<Record<DType, number>>> = { f32: 2 ** -5, f16: 2 ** -3 };

/** A node whose numbers say something: not out of range, and the error well below their size. */
const isUseful = ({ boundedOf, mode }: Workshop, node: Node): boolean => {
  if (node.op === 'invalid') throw new Error(`the generator made a refused call: ${textAttribute(node.attributes, 'message')}`);
  const bounded = boundedOf(node),
    size = largest(bounded);
  if (!bounded.value.every(Number.isFinite)) return false;
  const share = MOST_ERROR[node.dtype];
  if (share === undefined) return true;
  return (
    inRange(mode, node.dtype, Math.max(size, mode === 'exact' ? most(bounded.magnitude) : 0)) &&
    most(bounded.error) <= share * Math.max(size, 2 ** -20)
  );
};

const build = (mode: Mode, seed: number, steps: readonly Step[]): Workshop => {
  const through = openWorkshop(mode, seed),
    added = new Set<Node>();
  for (const step of steps) {
    const workshop = through(drawFrom(step.choices)),
      node = step.hint.make(workshop);
    if (node === undefined || added.has(node) || !isUseful(workshop, node)) continue;
    added.add(node);
    workshop.add(node);
  }
  return through(drawFrom([]));
};

/** Nodes that no other is made of, and now and then one that is, or one twice. */
const chooseOutputs = (pool: readonly Node[], extra: readonly number[]): readonly Node[] => {
  const used = new Set(pool.flatMap((node) => reached(node)));
  const chosen = pool.filter((node, i) => !used.has(node) || (extra[i] ?? 1) % 8 === 0);
  return (extra[12] ?? 1) % 16 === 15 ? [...chosen, chosen[0]!] : chosen;
};
const reached = (node: Node): readonly Node[] => {
  const found = new Set(node.inputs);
  for (const next of found) for (const input of next.inputs) found.add(input);
  return [...found];
};

const finished = ({ feeds }: Workshop, outputs: readonly Node[]): RandomProgram => {
  const graph = makeGraph(Object.fromEntries(outputs.map((node, i) => [`y${i}`, node])));
  const names = new Set([...graph.inputs, ...graph.parameters].map(inputName));
  const data = Object.fromEntries(Object.entries(feeds).filter(([name]) => names.has(name)));
  return withText({ graph, data, want: evaluateBounded(graph, data) });
};

/** What fast-check shows of a counterexample: the printed graph. */
const withText = (program: RandomProgram): RandomProgram =>
  Object.defineProperty(program, fc.toStringMethod, {
    value: () => `\n${printGraph(program.graph)}${showData(program.data)}`,
    enumerable: false,
  });
const showData = (data: Data): string =>
  Object.entries(data)
    .map(([name, elements]) => `${name} = [${elements.slice(0, 24).join(', ')}${elements.length > 24 ? ', ...' : ''}]\n`)
    .join('');

const CHOICES = 24;
const stepOf = (hint: Hint): fc.Arbitrary<Step> => choices(CHOICES).map((numbers) => ({ hint, choices: numbers }));
const weighted = (hints: readonly Hint[]): fc.Arbitrary<Step> => fc.oneof(...hints.map((hint) => ({ weight: hint.weight, arbitrary: stepOf(hint) })));

const ALL: readonly Hint[] = [...Object.values(HINTS), ...PHRASES];
const STEPS: Readonly<Record<Mode, fc.Arbitrary<Step>>> = {
  general: weighted(ALL),
  half: weighted(ALL),
  exact: weighted(ALL.filter((hint) => hint.exact)),
};
const seeds = fc.nat(2 ** 20);

/** Programs with `mode`'s numbers; every one has an output. */
export const programs = (mode: Mode = 'general'): fc.Arbitrary<RandomProgram> =>
  fc
    .tuple(fc.array(STEPS[mode], { minLength: 1, maxLength: 12, size: 'max' }), choices(13), seeds)
    .map(([steps, extra, seed]) => ({ workshop: build(mode, seed, steps), extra }))
    .filter(({ workshop }) => workshop.pool.length > 0)
    .map(({ workshop, extra }) => finished(workshop, chooseOutputs(workshop.pool, extra)));

/** Programs that end in the given op, after up to two others; its result is the only output. */
export const programsOf = (op: OpName, mode: Mode = 'general'): fc.Arbitrary<RandomProgram> =>
  fc
    .tuple(fc.array(STEPS[mode], { maxLength: 2 }), stepOf(HINTS[op]), seeds)
    .map(([before, last, seed]) => build(mode, seed, [...before, last]))
    .filter(({ pool }) => pool[pool.length - 1]?.op === op)
    .map((workshop) => finished(workshop, workshop.pool.slice(-1)));
