/**
 * Minimum cuts of directed graphs with capacities (Edmonds and Karp: shortest augmenting paths), for decisions of the kind "each thing
 * is on one of two sides, and being on different sides costs so much".
 *
 * Invariant: the side found is the smallest one that a minimum cut can have; equal cuts are decided towards the source.
 */
export interface Arc {
  readonly from: number;
  readonly to: number;
  /** What it costs when `from` is on the source's side and `to` is not. Infinity forbids it. */
  readonly capacity: number;
}

/** Arcs by the vertex that they leave; arc i and i ^ 1 are each other's reverse. */
const residual = (vertices: number, arcs: readonly Arc[]) => {
  const heads: number[] = [], rest: number[] = [], leaving: number[][] = Array.from({ length: vertices }, () => []);
  for (const { from, to, capacity } of arcs) {
    leaving[from]!.push(heads.length); // vertices count from 0
    leaving[to]!.push(heads.length + 1);
    heads.push(to, from);
    rest.push(capacity, 0);
  }
  return { heads, rest, leaving };
};

/** The vertices on the source's side of a minimum cut. Some path from source to sink must not be all of infinite arcs. */
export const minimumCut = (vertices: number, arcs: readonly Arc[], source: number, sink: number): ReadonlySet<number> => {
  const { heads, rest, leaving } = residual(vertices, arcs);
  for (;;) {
    const cameBy = new Map<number, number>(); // vertex -> arc that first reached it
    const reached = new Set([source]);
    for (const vertex of reached) {
      if (vertex === sink) break;
      for (const arc of leaving[vertex]!) {
        const head = heads[arc]!;
        if (rest[arc]! <= 0 || reached.has(head)) continue;
        reached.add(head);
        cameBy.set(head, arc);
      }
    }
    if (!reached.has(sink)) return reached;
    const path: number[] = [];
    for (let vertex = sink; vertex !== source; vertex = heads[path[path.length - 1]! ^ 1]!) path.push(cameBy.get(vertex)!);
    const flow = Math.min(...path.map((arc) => rest[arc]!));
    if (!Number.isFinite(flow)) throw new Error('invariant: a path from source to sink cannot be cut');
    for (const arc of path) {
      rest[arc]! -= flow;
      rest[arc ^ 1]! += flow;
    }
  }
};
