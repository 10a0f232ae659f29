/**
 * The reference at some elements of a node: only what they are made of is computed, down to tensors whose elements are at hand.
 *
 * Two walks over the nodes in between: from the node to what it reads, collecting which places of each are needed (each once,
 * however many ask for it); then back, computing. Both are in `dsl/ops` as `reference.part`, beside the op's meaning, and agree
 * with `evaluateBounded` to the last bit.
 */
import { type Node, topological } from '../../dsl/graph/node.ts';
import { type Bounded, type BoundType, elementsAt, type Part, type Places } from '../../dsl/ops/definition.ts';
import { definitionOf, OPS, type OpTable } from '../../dsl/ops/table.ts';
import { exactly, withOverflow } from './evaluate.ts';

/** The elements of a tensor in memory; undefined for a node that has to be computed. */
export type Stored = (node: Node) => ArrayLike<number> | undefined;

interface Needed {
  /** Ascending. */
  readonly places: Places;
  readonly part: Part;
}

/** What some elements of a node are made of. */
export interface Demand {
  readonly root: Node;
  readonly places: Places;
  readonly needed: ReadonlyMap<Node, Needed>;
  /** Elements that have to be read or computed: what the computation costs. */
  readonly cost: number;
}

const boundType = (node: Node): BoundType => ({ shape: node.shape as readonly number[], dtype: node.dtype }); // sizes are bound

const isAscending = (places: Places): boolean => {
  for (let i = 1; i < places.length; i++) if (places[i]! <= places[i - 1]!) return false;
  return true;
};

/** All places of the lists, each once, in order. */
const union = (lists: readonly Places[]): Places => {
  const [first] = lists;
  if (first !== undefined && lists.every((list) => list === first) && isAscending(first)) return first;
  const all = new Int32Array(lists.reduce((n, list) => n + list.length, 0));
  let start = 0;
  for (const list of lists) { all.set(list, start); start += list.length; }
  all.sort();
  return all.filter((place, i) => i === 0 || place !== all[i - 1]);
};

/** Where each of `wanted` is among `places`, which are ascending and hold them all. */
const positionsIn = (places: Places, wanted: Places): Places => {
  const first = places[0] ?? 0;
  if ((places[places.length - 1] ?? 0) - first + 1 === places.length) return wanted.map((place) => place - first);
  return wanted.map((place) => {
    let low = 0, high = places.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low;
  });
};

const loaded = (node: Node, data: ArrayLike<number>, places: Places): Bounded =>
  exactly({ shape: [places.length], dtype: node.dtype }, Float64Array.from(places, (place) => data[place]!));

/** Nodes that are computed for `root`, which is one of them, inputs first. */
const computedNodes = (root: Node, stored: Stored): readonly Node[] => {
  const inside = new Set<Node>([root]);
  for (const node of inside) for (const input of node.inputs) if (stored(input) === undefined) inside.add(input);
  return topological([root]).filter((node) => inside.has(node));
};

/** What the elements of `root` at `places` need; `root` itself is computed, stored or not. */
export const demandOf = (root: Node, places: Places, stored: Stored, table: OpTable = OPS): Demand => {
  const asked = new Map<Node, Places[]>([[root, [places]]]), needed = new Map<Node, Needed>();
  const order = computedNodes(root, stored);
  let cost = 0;
  for (const node of [...order].reverse()) {
    const own = union(asked.get(node) ?? []);
    const part = definitionOf(node.op, table).reference.part({
      places: own, operands: node.inputs.map(boundType), result: boundType(node), attributes: node.attributes,
      known: (operand, wanted) => sampled(node.inputs[operand]!, wanted, stored, table),
    });
    needed.set(node, { places: own, part });
    cost += own.length;
    node.inputs.forEach((input, k) => {
      const reads = part.reads[k]!;
      cost += reads.length;
      if (stored(input) === undefined) asked.set(input, [...(asked.get(input) ?? []), reads]);
    });
  }
  return { root, places, needed, cost };
};

/** The elements that a demand asks for, in its order. */
export const evaluateDemand = ({ root, places, needed }: Demand, stored: Stored): Bounded => {
  const values = new Map<Node, Bounded>();
  const operand = (node: Node, wanted: Places): Bounded => {
    const data = stored(node);
    if (data !== undefined) return loaded(node, data, wanted);
    const own = needed.get(node)!.places, value = values.get(node)!;
    return own === wanted ? value : elementsAt(value, positionsIn(own, wanted));
  };
  for (const [node, { part }] of [...needed].reverse()) {
    values.set(node, withOverflow(part.compute(node.inputs.map((input, k) => operand(input, part.reads[k]!)))));
  }
  const own = needed.get(root)!.places, value = values.get(root)!;
  return own === places ? value : elementsAt(value, positionsIn(own, places));
};

/** The elements of a node at `places`: read where they are stored, else computed. */
const sampled = (node: Node, places: Places, stored: Stored, table: OpTable): Bounded => {
  const data = stored(node);
  return data === undefined ? evaluateDemand(demandOf(node, places, stored, table), stored) : loaded(node, data, places);
};
