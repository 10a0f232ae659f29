/**
 * Kernels by the block of the model that they come from, with repeats found: blocks 0 to 21 of a transformer are shown once.
 *
 * Invariant: every kernel is in one block, and in a block they are in the order in which they run.
 */
import type { KernelReport } from './report.ts';
import { stepsOf } from './places.ts';

export interface Block {
  /** The first step of the path, with its number: `blocks.0`; '' for the model itself. */
  readonly name: string;
  readonly kernels: readonly KernelReport[];
}

/** Blocks that follow each other and do the same. */
export interface BlockGroup {
  readonly first: Block;
  readonly repeats: readonly Block[];
}

/** The blocks of a model, in the order in which they end. */
export const blocksOf = (kernels: readonly KernelReport[]): readonly Block[] => {
  const blocks = new Map<string, KernelReport[]>();
  for (const kernel of kernels) {
    const [name = ''] = stepsOf(kernel.path), known = blocks.get(name);
    if (known === undefined) blocks.set(name, [kernel]);
    else known.push(kernel);
  }
  return [...blocks].map(([name, own]) => ({ name, kernels: own })).sort((a, b) => a.kernels.at(-1)!.index - b.kernels.at(-1)!.index); // none is empty
};

/** The name without its number; undefined where it has none. */
const familyOf = (name: string): string | undefined => /^(.*)\.\d+$/.exec(name)?.[1];
const workOf = ({ kernels }: Block): number => kernels.reduce((sum, { flops }) => sum + flops, 0);

/**
 * Two blocks do the same when they have one family name and the same arithmetic within a hundredth: at the ends of a row, fusion finds other
 * neighbours, and a block has a kernel more or less.
 */
const isRepeat = (block: Block, first: Block): boolean =>
  familyOf(block.name) !== undefined && familyOf(block.name) === familyOf(first.name)
  && Math.abs(block.kernels.length - first.kernels.length) <= 2 && Math.abs(workOf(block) - workOf(first)) <= 0.01 * workOf(first);

/** Blocks in order, repeats together. */
export const grouped = (blocks: readonly Block[]): readonly BlockGroup[] => {
  const groups: { first: Block; repeats: Block[] }[] = [];
  for (const block of blocks) {
    const last = groups.at(-1);
    if (last !== undefined && isRepeat(block, last.first)) last.repeats.push(block);
    else groups.push({ first: block, repeats: [] });
  }
  return groups;
};
