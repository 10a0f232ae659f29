/**
 * The memory plan: which tensors share a buffer. Kernels run in order; a scratch tensor lives from the kernel that writes it to the
 * last one that reads it, and its buffer is free for others before and after. Within one kernel buffers never overlap.
 */
import { byteSize } from '../dsl/dtype.ts';
import type { KernelPlan, StoredTensor } from './kernels/plan-kernels.ts';
import { isLeaf } from './fusion/facts.ts';

export interface Slot { readonly bytes: number; readonly tensors: readonly number[] }
export interface MemoryPlan {
  readonly slots: readonly Slot[];
  /** Slot of each scratch tensor. */
  readonly slotOf: ReadonlyMap<number, number>;
  /** First kernel that writes and last kernel that touches a tensor. */
  readonly lifetimes: ReadonlyMap<number, readonly [first: number, last: number]>;
}

export const bufferBytes = ({ elements, dtype }: Pick<StoredTensor, 'elements' | 'dtype'>): number => Math.max(16, Math.ceil((elements * byteSize(dtype)) / 16) * 16);

const lifetimesOf = ({ kernels }: KernelPlan): Map<number, readonly [number, number]> => {
  const lifetimes = new Map<number, readonly [number, number]>();
  kernels.forEach(({ bindings }, k) => {
    for (const { tensor } of bindings) lifetimes.set(tensor, [lifetimes.get(tensor)?.[0] ?? k, k]);
  });
  return lifetimes;
};

/** Best fit: the smallest free slot that is large enough; else the largest free one grows; else a new one. */
export const planMemory = (plan: KernelPlan): MemoryPlan => {
  const lifetimes = lifetimesOf(plan), outputs = new Set(plan.outputs);
  const slots: { bytes: number; tensors: number[]; freeFrom: number }[] = [];
  const slotOf = new Map<number, number>();
  const scratch = [...plan.tensors.values()].filter(({ id, node }) => !outputs.has(id) && !isLeaf(node) && lifetimes.has(id))
    .sort((a, b) => lifetimes.get(a.id)![0] - lifetimes.get(b.id)![0]);
  for (const tensor of scratch) {
    const [first, last] = lifetimes.get(tensor.id)!, bytes = bufferBytes(tensor);
    const free = slots.filter((slot) => slot.freeFrom <= first).sort((a, b) => a.bytes - b.bytes);
    const slot = free.find((candidate) => candidate.bytes >= bytes) ?? free[free.length - 1] ?? { bytes: 0, tensors: [], freeFrom: 0 };
    if (!slots.includes(slot)) slots.push(slot);
    slot.bytes = Math.max(slot.bytes, bytes);
    slot.tensors.push(tensor.id);
    slot.freeFrom = last + 1;
    slotOf.set(tensor.id, slots.indexOf(slot));
  }
  return { slots, slotOf, lifetimes };
};
