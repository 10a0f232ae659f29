/** Memory over time: what is alive while each kernel runs. Weights and constants are alive always, the others from the kernel that writes them to the last that reads them. */
import type { KernelPlan } from '../kernels/plan-kernels.ts';
import { bufferBytes, type MemoryPlan } from '../memory.ts';

export interface Occupancy {
  /** Alive during the whole run. */
  readonly weights: number;
  readonly constants: number;
  /** What the caller gives, and gets. */
  readonly inputs: number;
  readonly outputs: number;
  /** Bytes of intermediate tensors that are alive while each kernel runs. */
  readonly live: readonly number[];
  /** Bytes that the plan sets aside for them, shared by those that are not alive together. */
  readonly planned: number;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** What is alive when, of a plan with its memory. */
export const occupancyOf = (plan: KernelPlan, { slots, slotOf, lifetimes }: MemoryPlan): Occupancy => {
  const tensors = [...plan.tensors.values()], outputs = new Set(plan.outputs);
  const bytesOf = (wanted: (role: unknown, op: string) => boolean): number =>
    sum(tensors.filter(({ id, node }) => !outputs.has(id) && wanted(node.attributes['role'], node.op)).map(bufferBytes));
  // what begins and what ends at each kernel, summed up in one walk
  const changes = new Array<number>(plan.kernels.length + 1).fill(0);
  for (const id of slotOf.keys()) {
    const [first, last] = lifetimes.get(id)!, bytes = bufferBytes(plan.tensors.get(id)!); // what has a slot has a lifetime
    changes[first]! += bytes;
    changes[last + 1]! -= bytes;
  }
  let alive = 0;
  return {
    weights: bytesOf((role, op) => op === 'input' && role === 'parameter'),
    constants: sum(tensors.filter(({ id, node }) => node.op === 'literal' && !outputs.has(id) && lifetimes.has(id)).map(bufferBytes)),
    inputs: bytesOf((role, op) => op === 'input' && role === 'input'),
    outputs: sum(plan.outputs.map((id) => bufferBytes(plan.tensors.get(id)!))),
    live: plan.kernels.map((_, k) => (alive += changes[k]!)),
    planned: sum(slots.map(({ bytes }) => bytes)),
  };
};
