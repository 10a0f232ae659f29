/** The reference interpreter as a backend: slow, in double precision, without a device. */
import * as E from 'fp-ts/Either';
import { evaluate, type Feeds } from '../../compiler/reference/evaluate.ts';
import { bindSizes, freeSymbols, type Graph, inputName, nodesOf, withTaps } from '../../dsl/graph/graph.ts';
import type { DType } from '../../dsl/dtype.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import type { NumberArray } from '../runtime/elements.ts';
import type { Backend, BackendError, BackendTensor, Elements, Executable, Inputs, LoadRequest, RunOptions, WeightSource } from './backend.ts';

const ABORTED: BackendError = { kind: 'aborted', message: 'aborted' };

/** Errors of the graph and symbols without a size. */
const mistakesOf = (graph: Graph): readonly string[] => [
  ...nodesOf(graph)
    .filter((node) => node.op === 'invalid' && node.attributes['message'] !== '')
    .map((node) => textAttribute(node.attributes, 'message')),
  ...freeSymbols(graph).map((symbol) => `the size of '${symbol}' is not known`),
];

const listed = (name: string, problems: readonly string[]): string => `${name}:${problems.map((problem) => `\n  - ${problem}`).join('')}`;

/** Data of the tensors that are fed on without being read. */
const contents = new WeakMap<BackendTensor, Float64Array>();

const elementsOf = (data: Float64Array, dtype: DType): Elements =>
  dtype === 'i32' ? Int32Array.from(data) : dtype === 'u32' || dtype === 'bool' ? Uint32Array.from(data) : Float64Array.from(data);

const tensorOf = (shape: readonly number[], dtype: DType, data: Float64Array): BackendTensor => {
  const tensor: BackendTensor = { shape, dtype, read: () => async () => E.right(elementsOf(data, dtype)), dispose: () => contents.delete(tensor) };
  contents.set(tensor, data);
  return tensor;
};

const feedsOf = (inputs: Inputs): Feeds =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => {
      const data = ArrayBuffer.isView(value) ? value : contents.get(value);
      if (data === undefined) throw new Error(`invariant: input ${name} was disposed or belongs to another backend`);
      return [name, data];
    }),
  );

/** Views of their own: the interpreter takes the same array to hold the same numbers. */
const asOfNow = (feeds: Feeds): Feeds => Object.fromEntries(Object.entries(feeds).map(([name, data]) => [name, (data as Float64Array).subarray()]));

const elementsIn = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

const inputProblems = (graph: Graph, feeds: Feeds): readonly string[] =>
  graph.inputs.flatMap((node) => {
    const name = inputName(node),
      data = feeds[name];
    const count = elementsIn(node.shape as readonly number[]); // sizes are bound
    return data === undefined
      ? [`input ${name} is missing`]
      : data.length !== count
        ? [`input ${name}: ${data.length} elements given, [${node.shape.join(', ')}] has ${count}`]
        : [];
  });

/** Weights are fetched once per source, whoever asks first. */
const makeWeights = () => {
  const known = new WeakMap<WeightSource, Map<string, Promise<NumberArray>>>();
  const of = (source: WeightSource, name: string): Promise<NumberArray> | undefined => {
    const held = known.get(source) ?? new Map<string, Promise<NumberArray>>();
    known.set(source, held);
    const value = Object.hasOwn(source, name) ? source[name] : undefined;
    if (value === undefined) return undefined;
    const fetched = held.get(name) ?? Promise.resolve(ArrayBuffer.isView(value) ? value : value());
    held.set(name, fetched);
    return fetched;
  };
  /** All weights of a graph, or what is wrong with them. */
  return async (graph: Graph, source: WeightSource, signal: AbortSignal | undefined): Promise<E.Either<readonly string[], Feeds>> => {
    const [feeds, problems]: [Record<string, NumberArray>, string[]] = [{}, []];
    for (const node of graph.parameters) {
      const name = inputName(node),
        count = elementsIn(node.shape as readonly number[]); // sizes are bound
      if (signal?.aborted) break;
      try {
        const values = await of(source, name);
        if (values === undefined) problems.push(`parameter ${name} is missing`);
        else if (values.length !== count)
          problems.push(`parameter ${name}: ${values.length} elements given, [${node.shape.join(', ')}] has ${count}`);
        else feeds[name] = values;
      } catch (thrown) {
        problems.push(`parameter ${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      }
    }
    return problems.length > 0 ? E.left(problems) : E.right(feeds);
  };
};

/** Lets signals and timers have their turn between two interpretations, which block the process. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 0);
  });

/** What a run changes: tensors that outputs are wanted in, and inputs whose place an output takes. */
const changedBy = (graph: Graph, inputs: Inputs, into: RunOptions['into'], inPlace: boolean): Readonly<Record<string, Float64Array | undefined>> =>
  Object.fromEntries(
    graph.outputs.flatMap(({ name }) => {
      const wanted = into?.[name], input = inPlace && Object.hasOwn(inputs, name) ? inputs[name]! : undefined; // own property
      const target = wanted ?? (input === undefined || ArrayBuffer.isView(input) ? undefined : input);
      return target === undefined ? [] : [[name, contents.get(target)]];
    }),
  );

const executableOf = (name: string, graph: Graph, weights: Feeds, { parameters = {}, inPlace = false }: Pick<LoadRequest, 'parameters' | 'inPlace'>): Executable => ({
  run:
    (inputs, { signal, into } = {}) =>
    async () => {
      await breathe();
      if (signal?.aborted) return E.left(ABORTED);
      const feeds = feedsOf(inputs);
      const problems = inputProblems(graph, feeds);
      if (problems.length > 0) return E.left<BackendError>({ kind: 'input', message: listed(`cannot run ${name}`, problems) });
      const results = evaluate(graph, { ...weights, ...asOfNow(feedsOf(parameters)), ...feeds }), changed = changedBy(graph, inputs, into, inPlace);
      return E.right(
        Object.fromEntries(
          graph.outputs.flatMap((output) => {
            const { shape, data } = results[output.name]!, place = changed[output.name]; // one per output
            place?.set(data);
            return place === undefined ? [[output.name, tensorOf(shape, output.node.dtype, data)]] : [];
          }),
        ),
      );
    },
  dispose: () => undefined,
});

export const referenceBackend = (): Backend => {
  const weightsOf = makeWeights();
  const open = async ({ graph, sizes, name, weights = {}, parameters, inPlace = false, taps = false, signal }: LoadRequest): Promise<E.Either<BackendError, Executable>> => {
    const bound = bindSizes(taps ? withTaps(graph) : graph, sizes);
    const problems = mistakesOf(bound);
    if (problems.length > 0) return E.left({ kind: 'program', message: listed(`${name} cannot be interpreted`, problems) });
    const fetched = parameters === undefined ? await weightsOf(bound, weights, signal) : E.right<readonly string[], Feeds>({});
    if (signal?.aborted) return E.left(ABORTED);
    if (E.isLeft(fetched)) return E.left({ kind: 'input', message: listed(`parameters of ${name}`, fetched.left) });
    return E.right(executableOf(name, bound, fetched.right, { ...(parameters && { parameters }), inPlace }));
  };
  const adapter = 'none (reference interpreter, double precision)';
  return {
    name: 'reference',
    adapter,
    notice: `adapter: ${adapter}`,
    largest: 2 ** 32,
    load: (request) => () => open(request),
    upload: (shape, data) => async () => E.right(tensorOf(shape, 'f32', Float64Array.from(data))),
    part: (whole, first, shape) => {
      const data = contents.get(whole);
      if (data === undefined) throw new Error('invariant: a part of a tensor that was disposed or belongs to another backend');
      return tensorOf(shape, whole.dtype, data.subarray(first, first + elementsIn(shape)));
    },
    close: () => undefined,
  };
};
