/**
 * Kernels by the block of the model that they come from, with repeats found: blocks 0 to 21 of a transformer are shown once.
 *
 * Invariant: every kernel is in one block, and in a block they are in the order in which they run.
 */
import type { KernelReport, Weight } from './report.ts';
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

/** The weights of each block, by their names inside it. */
const weightsByBlock = (weights: readonly Weight[]): ReadonlyMap<string, string> => {
  const blocks = new Map<string, string[]>();
  for (const { name, type } of weights) {
    const [block = ''] = stepsOf(name.split('.').slice(0, -1).join('.')), own = `${name.slice(block.length)} ${type}`, known = blocks.get(block);
    if (known === undefined) blocks.set(block, [own]);
    else known.push(own);
  }
  return new Map([...blocks].map(([block, own]) => [block, own.sort().join('\n')]));
};

/**
 * Blocks in order, repeats together. Two blocks of one family do the same when their weights have the same names and shapes; their kernels
 * may differ where fusion found other neighbours.
 */
export const grouped = (blocks: readonly Block[], weights: readonly Weight[]): readonly BlockGroup[] => {
  const weightsOf = weightsByBlock(weights);
  const isRepeat = (block: Block, first: Block): boolean =>
    familyOf(block.name) !== undefined && familyOf(block.name) === familyOf(first.name) && weightsOf.get(block.name) === weightsOf.get(first.name);
  const groups: { first: Block; repeats: Block[] }[] = [];
  for (const block of blocks) {
    const last = groups.at(-1);
    if (last !== undefined && isRepeat(block, last.first)) last.repeats.push(block);
    else groups.push({ first: block, repeats: [] });
  }
  return groups;
};
