/** A backend as the evaluator of golden runs: programs are kept as long as the file lasts, weights lie on the device once. */
import * as E from 'fp-ts/Either';
import type { Graph } from '../../../dsl/graph/graph.ts';
import { inputName } from '../../../dsl/graph/graph.ts';
import type { Call, Evaluate, Feeds, Numbers } from '../../../models/goldens/index.ts';
import type { Backend, BackendError, Executable, WeightSource } from '../../backend/backend.ts';
import type { NumberArray } from '../../runtime/elements.ts';

const typed = (values: Numbers, dtype: string): NumberArray =>
  dtype === 'i32'
    ? Int32Array.from(values)
    : dtype === 'u32' || dtype === 'bool'
      ? Uint32Array.from(values)
      : values instanceof Float32Array
        ? values
        : Float32Array.from(values);

/** Inputs that the graph has; a golden may hold more, such as cotangents. */
const inputsOf = ({ inputs }: Graph, feeds: Feeds): Readonly<Record<string, NumberArray>> =>
  Object.fromEntries(
    inputs.flatMap((node) => {
      const values = feeds[inputName(node)];
      return values === undefined ? [] : [[inputName(node), typed(values, node.dtype)]];
    }),
  );

/** Weights are converted when they are asked for, one at a time: recipes make theirs only then. */
const sourceOf = (parameters: Feeds): WeightSource =>
  Object.fromEntries(Object.keys(parameters).map((name) => [name, () => typed(parameters[name]!, 'f32')])); // one of its keys

/** Gives every object a number. */
const makeNumbering = (): ((object: object) => number) => {
  const numbers = new WeakMap<object, number>();
  let next = 0;
  return (object) => {
    const known = numbers.get(object) ?? next++;
    numbers.set(object, known);
    return known;
  };
};

export interface Evaluator {
  readonly evaluate: Evaluate<BackendError>;
  /** Frees the programs. */
  readonly dispose: () => void;
}

export const evaluatorOn = (backend: Backend, signal: AbortSignal): Evaluator => {
  const programs = new Map<string, Executable>();
  const sources = new WeakMap<Feeds, WeightSource>();
  const numberOf = makeNumbering();
  const weightsOf = (parameters: Feeds): WeightSource => {
    const source = sources.get(parameters) ?? sourceOf(parameters);
    sources.set(parameters, source);
    return source;
  };
  const program = async ({ graph, sizes, parameters }: Call): Promise<E.Either<BackendError, Executable>> => {
    const key = `${numberOf(graph)} ${numberOf(parameters)} ${JSON.stringify(sizes)}`;
    const known = programs.get(key);
    if (known !== undefined) return E.right(known);
    const loaded = await backend.load({ graph, sizes, name: 'golden', weights: weightsOf(parameters), signal })();
    if (E.isRight(loaded)) programs.set(key, loaded.right);
    return loaded;
  };
  const evaluate: Evaluate<BackendError> = (call) => async () => {
    const executable = await program(call);
    if (E.isLeft(executable)) return executable;
    const outputs = await executable.right.run(inputsOf(call.graph, call.inputs), { signal })();
    if (E.isLeft(outputs)) return outputs;
    const values: Record<string, Numbers> = {};
    for (const [name, tensor] of Object.entries(outputs.right)) {
      const read = await tensor.read({ signal })();
      if (E.isLeft(read)) return read;
      values[name] = read.right;
      tensor.dispose();
    }
    return E.right(values);
  };
  return { evaluate, dispose: () => programs.forEach((executable) => executable.dispose()) };
};
