/**
 * Why two neighbouring kernels are two: for each stored tensor, who writes it, who reads it, and what kept them apart.
 *
 * Fusion gives a reason for each tensor that it stores (`FusionPlan.reasons`); here it becomes a sentence for people. A reason that has no
 * sentence is shown as it is.
 */
import type { KernelPlan, PlannedKernel } from '../kernels/plan-kernels.ts';
import { isLeaf } from '../fusion/facts.ts';

/** A kernel that writes a tensor, and one that reads it. Kernels are numbered as they run. */
export interface Neighbours {
  readonly producer: number;
  readonly consumer: number;
  readonly tensor: number;
  /** The reason as fusion gave it. */
  readonly reason: string;
}

/** The tensors that a kernel reads and writes, each once. */
export const portsOf = ({ loop, bindings }: PlannedKernel): { readonly reads: readonly number[]; readonly writes: readonly number[] } => {
  const of = (access: 'read' | 'read_write'): readonly number[] => [...new Set(bindings.filter((_, i) => loop.tensors[i]?.access === access).map(({ tensor }) => tensor))];
  return { reads: of('read'), writes: of('read_write') };
};

/** Why a tensor has memory of its own. */
export const reasonFor = ({ tensors, fusion }: Pick<KernelPlan, 'tensors' | 'fusion'>, tensor: number): string => {
  const node = tensors.get(tensor)?.node;
  return (node === undefined || isLeaf(node) ? undefined : fusion.reasons.get(node)) ?? 'a copy';
};

/** All pairs of neighbours, in the order in which they run. Kernels that write parts of one tensor are each a producer of it. */
export const neighboursOf = (plan: Pick<KernelPlan, 'kernels' | 'tensors' | 'fusion'>): readonly Neighbours[] => {
  const writers = new Map<number, number[]>();
  const pairs: Neighbours[] = [];
  plan.kernels.forEach((kernel, consumer) => {
    const { reads, writes } = portsOf(kernel);
    for (const tensor of reads) {
      for (const producer of writers.get(tensor) ?? []) pairs.push({ producer, consumer, tensor, reason: reasonFor(plan, tensor) });
    }
    for (const tensor of writes) {
      const known = writers.get(tensor);
      if (known === undefined) writers.set(tensor, [consumer]);
      else known.push(consumer);
    }
  });
  return pairs;
};

type Sentence = readonly [reason: RegExp, sentence: (...parts: readonly string[]) => string];

/** What each reason means to somebody who does not know the compiler; `it` is the tensor. */
const SENTENCES: readonly Sentence[] = [
  [/^output$/, () => 'it is a result of the program, so it must be in memory in the end'],
  [/^fusion is off$/, () => 'fusion is switched off, so each operation has a kernel of its own'],
  [/^contraction: several kernels read it$/, () => 'it is the result of a matrix product that several kernels need; joined to each of them, the product would be computed again in each'],
  [/^contraction: its user (reshape|permute|slice|expand|concat|pad) is not elementwise$/, (op) =>
    `it is the result of a matrix product, and what comes next puts its elements elsewhere (${op}): a product takes along only what is computed of each element in its place`],
  [/^contraction: its user (\w+) is not elementwise$/, (op) =>
    `it is the result of a matrix product, and what comes next (${op}) needs many of its elements at once, while each thread of a product holds only a few`],
  [/^contraction: its user (\w+) has another shape$/, (op) => `it is the result of a matrix product, and what comes next (${op}) repeats its elements: joined, each would be computed many times`],
  [/^contraction: the kernel of (\w+) already has a (\w+)$/, (op, core) =>
    `it is the result of a matrix product, and the kernel of ${op} is already built around a ${core}: a kernel has one main loop, laid out for one of them`],
  [/^reduction: several kernels read it$/, () => 'it is a value for a whole row (a sum or a maximum) that several kernels need: computed once, read by all'],
  [/^a streamed kernel reads it again and again$/, () =>
    'it goes into an attention, where each workgroup reads all keys and values anew: stored, they are read; joined, each workgroup would compute all of them'],
  [/^reduction: its user is in a streamed kernel$/, () => 'it is a value for a whole row, and its reader is an attention, whose one loop over the keys has no room for a second sum'],
  [/^reduction: its user is in a matmul kernel, and it is not made over rows of a factor$/, () =>
    'it is a value for a whole row, and its reader is a matrix product that meets other rows: only the sums of its own rows can join it'],
  [/^reduction: its user is in a matmul kernel$/, () => 'it is a value for a whole row, and its reader is a matrix product, whose threads each see only a part of a row'],
  [/^reduction: fused, it would be computed more than once$/, () => 'it is a value for a whole row, and in the kernel that reads it many threads would each compute the same row again'],
  [/^reduction: the kernel already reduces other rows$/, () => 'it is a value for a whole row, but the kernel that reads it already sums along other rows'],
  [/^a matmul reads it, and the reductions of its rows join it here$/, () =>
    'it is normalised along its rows and then read by a matrix product, which reads each element many times: normalising once here is cheaper than inside the product'],
  [/^read by (\d+) kernels, cheaper to keep than to compute again$/, (count) => `${count} kernels read it: storing it once costs less than computing it in each of them`],
  [/^read many times, cheaper to keep than to compute again$/, () => 'one kernel reads each of its elements many times: storing it costs less than computing it anew for each reading'],
  [/^the adapter binds at most (\d+) storage buffers$/, (most) => `joined, the kernel would read more than the ${most} buffers that the adapter lets a kernel bind`],
  [/^a copy$/, () => 'each result of the program has memory of its own, so what is already elsewhere is copied'],
];

/** A tensor may have been left out of a chain of small layers too; that says so in words of its own. */
const NOT_IN_PROGRAM = '; not in the program that reads it: ';

/** A reason in plain words, to stand behind "kept apart because". */
export const explainReason = (reason: string): string => {
  const split = reason.indexOf(NOT_IN_PROGRAM);
  if (split >= 0) return `${explainReason(reason.slice(0, split))}; nor is it computed row by row with the layers that read it, because ${reason.slice(split + NOT_IN_PROGRAM.length)}`;
  for (const [pattern, sentence] of SENTENCES) {
    const found = pattern.exec(reason);
    if (found !== null) return sentence(...found.slice(1));
  }
  return reason;
};
