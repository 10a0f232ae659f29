/** All kernels of a plan as one module; equal loop forms share a function. */
import type { LoopKernel } from '../../../dsl/scalar/loop.ts';
import type { WasmKernel } from '../../program.ts';
import { encodeModule, type WasmFunction } from './encode.ts';
import { printKernel } from './print.ts';

interface Planned {
  readonly name: string;
  readonly loop: LoopKernel;
}

export interface PrintedModule {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly kernels: readonly WasmKernel[];
  readonly indexOf: (planned: Planned) => number;
  readonly scratchBytes: number;
}

/** Functions that were printed before: plans share their loop forms. */
const printed = new WeakMap<LoopKernel, ReturnType<typeof printKernel>>();
const printedOf = (loop: LoopKernel): ReturnType<typeof printKernel> => {
  const known = printed.get(loop) ?? printKernel('', loop);
  printed.set(loop, known);
  return known;
};

/** The module of kernels, which are told apart by their code. */
export const printModule = (planned: readonly Planned[]): PrintedModule => {
  const kernels: WasmKernel[] = [], functions: WasmFunction[] = [];
  const byCode = new Map<string, number>(), byLoop = new Map<LoopKernel, number>();
  let scratchBytes = 0;
  for (const { name, loop } of planned) {
    if (byLoop.has(loop)) continue;
    const { text, scratchBytes: own } = printedOf(loop), key = `${text.locals.join()} ${text.code.join()}`;
    scratchBytes = Math.max(scratchBytes, own);
    if (!byCode.has(key)) {
      functions.push({ ...text, name });
      byCode.set(key, kernels.push({ name, bindings: loop.tensors.map(({ access }) => access) }) - 1);
    }
    byLoop.set(loop, byCode.get(key)!);
  }
  return { module: encodeModule(functions, true), kernels, scratchBytes, indexOf: ({ loop }) => byLoop.get(loop)! };
};
