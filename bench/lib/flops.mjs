/**
 * Floating-point operations of compiled kernels: two for each product of the contractions inside them.
 *
 * Invariant: counted once per contraction, however often a fused kernel computes it again; a kernel that limits cut into pieces
 * has its share in each piece.
 */

const product = (numbers) => numbers.reduce((a, b) => a * b, 1);

/** 'b m k, b n k -> b m n': all names, each with its size. */
const contractionFlops = ({ attributes, inputs }) => {
  const operands = String(attributes.pattern).split('->')[0].split(',').map((names) => names.trim().split(/\s+/).filter(Boolean));
  const sizes = new Map(operands.flatMap((names, i) => names.map((name, axis) => [name, inputs[i].shape[axis]])));
  return 2 * product([...sizes.values()]);
};

const flopsOf = (nodes) => nodes.filter(({ op }) => op === 'einsum').reduce((sum, node) => sum + contractionFlops(node), 0);

/** For each dispatch of a compilation, in order; 0 where it holds no contraction. */
export const dispatchFlops = ({ kernels: { kernels } }) => {
  const pieces = new Map();
  for (const { nodes } of kernels) pieces.set(nodes, (pieces.get(nodes) ?? 0) + 1);
  return kernels.map(({ nodes }) => flopsOf(nodes) / pieces.get(nodes));
};
