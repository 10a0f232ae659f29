/** From a graph to the numbers that WebAssembly computes for it, on one thread and on several. */
import * as E from 'fp-ts/Either';
import { assembleWasm } from '../../compiler/assemble.ts';
import { type Compilation, type CompileOptions, explain } from '../../compiler/compile.ts';
import { showCompileError } from '../../compiler/errors.ts';
import { type KernelPlan, planKernels } from '../../compiler/kernels/plan-kernels.ts';
import { planMemory } from '../../compiler/memory.ts';
import { PROFILES } from '../../compiler/profile.ts';
import type { WasmProgram } from '../../compiler/program.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import type { Graph } from '../../dsl/graph/graph.ts';
import { OPS, type OpTable } from '../../dsl/ops/table.ts';
import { openWasmDevice, type WasmDevice } from '../../src/runtime/wasm/device.ts';
import { nodeThreads } from '../../src/runtime/wasm/node-threads.ts';
import { loadWasm } from '../../src/runtime/wasm/session.ts';
import { type Data, type Results, settled } from './run-program.ts';

const devices = new Map<number, Promise<WasmDevice>>();
/** The device with that many threads, opened once a process. */
export const wasmDevice = (threads = 1): Promise<WasmDevice> => {
  const known = devices.get(threads) ?? settled(openWasmDevice(() => nodeThreads(threads)));
  devices.set(threads, known);
  return known;
};

/** Every stage of a compilation for WebAssembly; throws all compile errors in one message. */
export const compiledForWasm = (graph: Graph, options: CompileOptions = {}): Compilation<WasmProgram> => {
  const result = explain(graph, { ...options, target: 'wasm' });
  if (E.isLeft(result)) throw new Error(`does not compile:\n${result.left.map(showCompileError).join('\n')}`);
  return result.right;
};

/** The kernels of a graph as it was written: no pass folds or removes anything, so every op is lowered. */
export const compiledAsWrittenForWasm = (graph: Graph, table: OpTable = OPS): WasmProgram => {
  const plan = planKernels(graph, { profile: PROFILES.wasm, schedule: SCHEDULES.wasm, table, fusion: false });
  if (Array.isArray(plan)) throw new Error(`does not compile:\n${plan.map(showCompileError).join('\n')}`);
  return assembleWasm('program', graph, plan as KernelPlan, planMemory(plan as KernelPlan)); // not an array of errors
};

const pick = (data: Data, ports: readonly { readonly name: string }[]): Data => Object.fromEntries(ports.filter(({ name }) => data[name] !== undefined).map(({ name }) => [name, data[name]!]));

/** Runs a program once. */
export const runWasm = async (program: WasmProgram, data: Data, threads = 1): Promise<Results> => {
  const session = await settled(loadWasm(await wasmDevice(threads), program));
  try {
    if (program.parameters.length > 0) await settled(session.setParameters(pick(data, program.parameters)));
    const outputs = Object.entries(await settled(session.run(pick(data, program.inputs))));
    const results = await Promise.all(outputs.map(async ([name, tensor]) => [name, await settled(tensor.read())] as const));
    for (const [, tensor] of outputs) tensor.dispose();
    return Object.fromEntries(results);
  } finally {
    session.dispose();
  }
};
