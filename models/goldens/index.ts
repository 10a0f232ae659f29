/**
 * From a golden file's header to a run of it: `kind` and `class` in the metadata choose what is computed. The table of blocks
 * knows the authors' classes, not their configurations, so files never seen before run as well.
 */
import * as E from 'fp-ts/Either';
import { pipe } from 'fp-ts/function';
import * as TE from 'fp-ts/TaskEither';
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { inputName, makeGraph } from '../../dsl/graph/graph.ts';
import { pullback } from '../../dsl/gradient/gradients.ts';
import { add, input, mul, unsqueeze } from '../../dsl/index.ts';
import { BLOCK_NAMES, blockOf, type Block, type Site } from './blocks.ts';
import { checkpointRun, forwardRun, fullSizeRun, modelSamplerRun } from './c2i.ts';
import { caseKindOf, LONE_INPUT, LONE_OUTPUT, type CaseKind } from './cases.ts';
import { casesOf, configOf, dataUnder, NO_WEIGHTS, shapeOf, type Feeds, type GoldenHeader, type GoldenRun, type Sources } from './golden.ts';
import { bytesRun, lagrangeRun, schedulingRun } from './host.ts';
import { runCases, samplerCases, type Field } from './samplers.ts';
import { optimizerRun, trainingRun, trainingStepsRun } from './training.ts';

export type { Call, Evaluate, Feeds, GoldenHeader, GoldenRun, Numbers, Sources, TensorHeader, WeightSet } from './golden.ts';

// blocks ------------------------------------------------------------------------------------------------------------------------------

const siteOf = (header: GoldenHeader): Site => {
  const config = configOf(header);
  const shape = (tensor: string): readonly number[] => shapeOf(header, tensor) ?? [];
  return {
    config: (...names) => {
      const value = names.map((name) => config[name]).find((found) => typeof found === 'number');
      return typeof value === 'number' ? value : NaN;
    },
    dim: (tensor, axis) => shape(tensor).at(axis) ?? NaN,
    shape,
    has: (tensor) => tensor in header.tensors,
  };
};

/** Sizes must be whole; where one is not, the file lacks a field, or asks for heads of a size that cannot be. */
const wholeSizes = (sizes: Sizes): E.Either<string, Sizes> => {
  const wrong = Object.entries(sizes).filter(([, size]) => !Number.isInteger(size) || size < 0);
  const said = wrong.map(([symbol, size]) => symbol === 'K' && size > 0
    ? `head_dim is ${4 * size}, but the rotary embedding needs a multiple of 4`
    : `the size ${symbol} would be ${size}: a field of the config or an axis of a tensor is missing or does not fit`);
  return wrong.length === 0 ? E.right(sizes) : E.left(said.join('; '));
};

/** A graph's outputs under `out.` and `out64.`. */
const asOutputs = (outputs: Feeds, name: (output: string) => string = (output) => output): Feeds =>
  Object.fromEntries(Object.entries(outputs).flatMap(([output, values]) => [[`out.${name(output)}`, values], [`out64.${name(output)}`, values]]));

/** Values of tensors that the file has. */
const known = (header: GoldenHeader, values: Feeds): Feeds => Object.fromEntries(Object.entries(values).filter(([name]) => name in header.tensors));

/** Cotangents of a block's outputs have this before their names, under `in.`. */
const COTANGENT = 'cotangent.';

/** The block with the gradients that the file has: of the sum over outputs of output times cotangent. */
const withSlopes = (graph: Graph, header: GoldenHeader): Graph => {
  const given = graph.outputs.filter(({ name }) => `in.${COTANGENT}${name}` in header.tensors);
  if (given.length === 0) return graph;
  const cotangents = given.map(({ name, node }) => apply('input', [], { name: `${COTANGENT}${name}`, role: 'input', shape: node.shape, dtype: 'f32' }));
  const wanted = [...graph.inputs.map((node) => [`grad.in.${inputName(node)}`, node] as const), ...graph.parameters.map((node) => [`grad.param.${inputName(node)}`, node] as const)]
    .filter(([name]) => name in header.tensors);
  const slopes = pullback(given.map(({ node }) => node), cotangents, wanted.map(([, node]) => node));
  const outputs = [...graph.outputs.map(({ name, node }) => [name, node] as const), ...wanted.map(([name], i) => [name, slopes[i]!] as const)];
  return makeGraph(Object.fromEntries(outputs), [...graph.inputs, ...cotangents, ...graph.parameters]);
};

const blockRun = (header: GoldenHeader, block: Block): E.Either<string, GoldenRun> => {
  const site = siteOf(header);
  const graph = withSlopes(block.graph(site), header);
  return E.map((sizes: Sizes): GoldenRun => ({
    needsCheckpoint: false,
    run: ({ evaluate, tensor }) => TE.map((outputs: Feeds) => known(header, { ...asOutputs(outputs), ...outputs }))(
      evaluate({ graph, sizes, inputs: dataUnder(header, 'in.', tensor), parameters: dataUnder(header, 'param.', tensor) })),
  }))(wholeSizes(block.sizes(site)));
};

// cases -------------------------------------------------------------------------------------------------------------------------------

interface CaseCall {
  readonly name: string;
  readonly graph: Graph;
  readonly sizes: Sizes;
}

const caseRun = (header: GoldenHeader, kind: CaseKind): E.Either<string, GoldenRun> => pipe(
  casesOf(header),
  E.traverseArray((fields): E.Either<string, CaseCall> => {
    const name = String(fields['name']);
    const sizes = wholeSizes(kind.sizes(fields, shapeOf(header, `in.${name}`) ?? []));
    return pipe(sizes, E.bimap((message) => `${name}: ${message}`, (whole) => ({ name, graph: kind.graph(fields), sizes: whole })));
  }),
  E.map((calls): GoldenRun => ({
    needsCheckpoint: false,
    run: <Failure>({ evaluate, tensor }: Sources<Failure>) => pipe(
      calls.map(({ name, graph, sizes }) => pipe(
        evaluate({ graph, sizes, inputs: `in.${name}` in header.tensors ? { [LONE_INPUT]: tensor(`in.${name}`) } : {}, parameters: NO_WEIGHTS }),
        TE.map((outputs) => asOutputs(outputs, (output) => (output === LONE_OUTPUT ? name : `${name}.${output}`))),
      )),
      TE.sequenceSeqArray,
      TE.map((all) => known(header, Object.assign({}, ...all) as Feeds)), // each is Feeds
    ),
  })),
);

// toy samplers ------------------------------------------------------------------------------------------------------------------------

/** v = a x + b t + c y, y the label as a number: a field whose trajectories are known in closed form. */
const toyGraph = (a: number, b: number, c: number): Graph => {
  const x = input('x', ['B', 'n']);
  const [t, y] = [input('t', ['B']), input('y', ['B'])];
  return makeGraph({ v: add(mul(x, a), unsqueeze(add(mul(t, b), mul(y, c)), 1)) }, [x, t, y]);
};

const toySamplerRun = (header: GoldenHeader): E.Either<string, GoldenRun> => {
  const { a, b, c, null_class } = configOf(header) as Record<string, number>; // numbers, in the toy's files
  const graph = toyGraph(a ?? NaN, b ?? NaN, c ?? NaN);
  const field = <Failure>({ evaluate }: Sources<Failure>): Field<Failure> => (x, t, y) => pipe(
    evaluate({ graph, sizes: { B: y.length, n: x.length / y.length }, inputs: { x, t: y.map(() => t), y }, parameters: NO_WEIGHTS }),
    TE.map((outputs) => outputs['v']!),
  );
  return E.map((cases: Parameters<typeof runCases>[1]): GoldenRun => ({
    needsCheckpoint: false,
    run: (sources) => runCases(header, cases, null_class ?? NaN, field(sources), sources),
  }))(samplerCases(header));
};

// dispatch ----------------------------------------------------------------------------------------------------------------------------

const blockKind = (header: GoldenHeader, className: string): E.Either<string, GoldenRun> => {
  if (/uint8/.test(className)) return E.right(bytesRun(header));
  if (/guidance|scheduling/.test(className)) return E.right(schedulingRun(header));
  const cases = caseKindOf(className);
  if (cases !== undefined) return caseRun(header, cases);
  const block = blockOf(className);
  return block === undefined
    ? E.left(`no block is known for the class '${className}'; known are ${BLOCK_NAMES.join(', ')}`)
    : blockRun(header, block);
};

const samplerKind = (header: GoldenHeader, className: string): E.Either<string, GoldenRun> =>
  /lagrange/.test(className) ? E.right(lagrangeRun(header))
  : 'net' in configOf(header) ? toySamplerRun(header)
  : modelSamplerRun(header);

/** Metadata that should hold JSON and does not. */
const unreadable = ({ metadata }: GoldenHeader): string | undefined => ['config', 'cases', 'trainer', 'variants', 'runs', 'optimizer'].find((field) => {
  try {
    JSON.parse(metadata[field] ?? 'null');
    return false;
  } catch {
    return true;
  }
});

/** How to run a golden file, or why it cannot be run. */
export const goldenRun = (header: GoldenHeader): E.Either<string, GoldenRun> => {
  const { kind = '', class: className = '' } = header.metadata;
  const broken = unreadable(header);
  if (broken !== undefined) return E.left(`the metadata's ${broken} is no JSON`);
  switch (kind) {
    case 'block': return blockKind(header, className);
    case 'sampler': return samplerKind(header, className);
    case 'c2i forward': return forwardRun(header);
    case 'full size c2i forward': return fullSizeRun(header);
    case 'checkpoint': return checkpointRun(header);
    case 'training': return trainingRun(header);
    case 'training steps': return trainingStepsRun(header);
    case 'optimizer': return optimizerRun(header);
    default: return E.left(`goldens of kind '${kind}' cannot be run: known are block, sampler, c2i forward, full size c2i forward, checkpoint, training, training steps, optimizer`);
  }
};
