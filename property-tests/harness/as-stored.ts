/** What the reference says of a compiled program whose tensors lie in other numbers than they are computed in. */
import type { Compilation } from '../../compiler/compile.ts';
import type { ProgramOf } from '../../compiler/program.ts';
import { storageOfPlan } from '../../compiler/precision/storage.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { inputName } from '../../dsl/graph/graph.ts';
import type { Bounded } from '../../dsl/ops/definition.ts';
import { OPS } from '../../dsl/ops/table.ts';
import { elementCount } from '../../src/runtime/elements.ts';
import { quantiseRows } from '../../src/runtime/quantise.ts';
import type { Data } from './run-program.ts';

/** The data of a program's ports: int8 weights as whole numbers, with their scales beside them. */
export const dataAsStored = ({ program }: Compilation<ProgramOf<unknown>>, data: Data): Data => {
  const scales = new Map(program.parameters.map((port) => [port.name, port]));
  const packed = program.parameters.flatMap(({ name, shape, scale }) => {
    if (scale === undefined) return [];
    const rows = quantiseRows(data[name]!, elementCount(scales.get(scale)!.shape));
    if (typeof rows === 'string') throw new Error(rows);
    const numbers = Float32Array.from(new Int8Array(rows.bytes.buffer, 0, elementCount(shape)));
    return [[name, numbers] as const, [scale, rows.scales] as const];
  });
  return { ...data, ...Object.fromEntries(packed) };
};

/** The outputs' values and bounds, with the rounding of every tensor that has memory; `stored` is the data of `dataAsStored`. */
export const boundedAsStored = ({ stages, kernels }: Compilation<unknown>, stored: Data): Readonly<Record<string, Bounded>> => {
  const final = stages.at(-1)!.graph; // there is always a first
  const names = new Set([...final.inputs, ...final.parameters].map(inputName));
  const feeds = Object.fromEntries(Object.entries(stored).filter(([name]) => names.has(name)));
  return evaluateBounded(final, feeds, OPS, storageOfPlan(kernels));
};
