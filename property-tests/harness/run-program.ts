/** From a graph to the numbers that a device computes for it. Whatever goes wrong on the way throws with its message. */
import * as E from 'fp-ts/Either';
import { assemble } from '../../compiler/assemble.ts';
import { type Compilation, type CompileOptions, explain } from '../../compiler/compile.ts';
import { showCompileError } from '../../compiler/errors.ts';
import { type KernelPlan, planKernels } from '../../compiler/kernels/plan-kernels.ts';
import { planMemory } from '../../compiler/memory.ts';
import { PROFILES } from '../../compiler/profile.ts';
import type { Program } from '../../compiler/program.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import type { Graph } from '../../dsl/graph/graph.ts';
import { OPS } from '../../dsl/ops/table.ts';
import type { NumberArray } from '../../src/runtime/elements.ts';
import { load, type Session } from '../../src/runtime/session.ts';
import { type TestDevice, testDevice } from './device.ts';

/** Elements by input or parameter name. */
export type Data = Readonly<Record<string, NumberArray>>;
export type Results = Readonly<Record<string, ArrayLike<number>>>;

/** Every stage of a compilation; throws all compile errors in one message. */
export const compiled = (graph: Graph, options: CompileOptions): Compilation => {
  const result = explain(graph, options);
  if (E.isLeft(result)) throw new Error(`does not compile:\n${result.left.map(showCompileError).join('\n')}`);
  return result.right;
};

/** The kernels of a graph as it was written: no pass folds or removes anything, so every op is lowered. */
export const compiledAsWritten = (graph: Graph, { table = OPS, schedule = SCHEDULES.cpu, profile = PROFILES.cpu }: CompileOptions): Compilation => {
  const kernels = planKernels(graph, { profile, schedule, table, fusion: false });
  if (Array.isArray(kernels)) throw new Error(`does not compile:\n${kernels.map(showCompileError).join('\n')}`);
  const plan = kernels as KernelPlan,
    memory = planMemory(plan); // not an array of errors
  return { stages: [], kernels: plan, memory, program: assemble('program', graph, plan, memory) };
};

type Settled<A> = { readonly _tag: 'Left'; readonly left: { readonly message: string } } | { readonly _tag: 'Right'; readonly right: A };
/** The value of a task that the runtime gave; throws its error. */
export const settled = async <A>(task: () => Promise<Settled<A>>): Promise<A> => {
  const result = await task();
  if (result._tag === 'Left') throw new Error(result.left.message);
  return result.right;
};

const pickNames = (data: Data, ports: Program['inputs'] | Program['parameters']): Data =>
  Object.fromEntries(ports.filter(({ name }) => data[name] !== undefined).map(({ name }) => [name, data[name]!])); // scales come with their weights

const runSession = async (session: Session, data: Data): Promise<Results> => {
  const { program } = session;
  if (program.parameters.length > 0) await settled(session.setParameters(pickNames(data, program.parameters)));
  const outputs = Object.entries(await settled(session.run(pickNames(data, program.inputs))));
  const results = await Promise.all(outputs.map(async ([name, tensor]) => [name, await settled(tensor.read())] as const));
  for (const [, tensor] of outputs) tensor.dispose();
  return Object.fromEntries(results);
};

/** Runs a compiled program once on the device. */
export const runProgram = async ({ device }: TestDevice, program: Program, data: Data): Promise<Results> => {
  const session = await settled(load(device, program));
  try {
    return await runSession(session, data);
  } finally {
    session.dispose();
  }
};

/** Compiles for the test device (unless `options` say otherwise) and runs. */
export const runGraph = async (graph: Graph, data: Data, options: CompileOptions = {}): Promise<Results> => {
  const target = await testDevice();
  return runProgram(target, compiled(graph, { profile: target.profile, ...options }).program, data);
};
