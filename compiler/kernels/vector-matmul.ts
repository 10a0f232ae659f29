/**
 * The matmul schedule of processors: one thread computes many tiles of the result, in vectors of four lanes.
 *
 * Two ways. 'packed': the right factor's columns of a panel are first copied, transposed and converted where need be, so that a row of the
 * panel is a few vectors side by side; then each tile of rows multiplies elements of the left factor, in all lanes, with these rows. 'along k':
 * both factors are read in vectors along the contracted axis, and lanes are added up at the end; nothing is copied, for few rows.
 * Columns beyond the last whole vector are finished one by one, through a small array, so no element is computed twice (a kernel may change a tensor in place).
 */
import { clampIndex, type Index, integer, ofVariable, plus, plusConstant, substituteIndex, times, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { localId, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { LocalArray, Scalar } from '../../dsl/scalar/scalar.ts';
import { accessesOf } from './access.ts';
import { type Block, named, placed, type Placer, placer } from './block.ts';
import { addTo, areNeighbours, aroundSums } from './epilogue.ts';
import type { Contraction } from './matmul.ts';
import type { Output } from './row.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { splitThread } from './thread.ts';
import { fourFrom, LANES, loop, nested } from './vector-loops.ts';
import { distance, widen } from './widen.ts';

type DTypes = Parameters<typeof accessesOf>[1];

/** Vectors of sums in a tile; with the operands they fill the sixteen registers of x86. */
const SUMS = 8;
/** From this many rows on, copying the right factor costs less than adding up lanes. */
const PACK_FROM = 24;
/** Work for several threads, and none that takes long after the others are done. */
const FEWEST_GROUPS = 16;

const last = <A>(items: readonly A[]): A | undefined => items[items.length - 1];
const count = (variables: readonly Variable[]): number => variables.reduce((n, v) => n * v.extent, 1);

/** Neighbours in memory, read as a vector; the target needs no alignment. */
const isRun = (e: Scalar): boolean => {
  if (e.kind === 'cast') return isRun(e.a);
  if (e.kind === 'load') return e.lanes > 1;
  if (e.kind !== 'vector') return false;
  const [first] = e.parts;
  return first?.kind === 'load' && e.parts.every((part, i) => part.kind === 'load' && part.tensor === first.tensor && distance(first.index, part.index) === i);
};
const isRunAlong = (e: Scalar, variable: Variable | undefined): boolean =>
  variable !== undefined && variable.extent >= LANES && isRun(widen(e, variable.id, fourFrom(integer(0))));

/** A local that exists from here on, behind what was written. */
const landmark = (p: Placer, block: Block): number => {
  const local = p.local();
  p.push(block, { kind: 'let', local, value: S.constant(0, 'i32') });
  block.bound.add(localId(local));
  return local;
};

/** The four vectors whose lane `j` is the lane of vector `j`. */
const transposed = (p: Placer, block: Block, rows: readonly Scalar[]): readonly Scalar[] => {
  const [a, b, c, d] = rows.map((row) => named(p, block, row)) as [Scalar, Scalar, Scalar, Scalar];
  const pick = (x: Scalar, y: Scalar, lanes: readonly (readonly [Scalar, number])[]): Scalar => named(p, block, S.vector(lanes.map(([from, i]) => S.lane(from === x ? x : y, i))));
  const half = (x: Scalar, y: Scalar, from: number): Scalar => pick(x, y, [[x, from], [y, from], [x, from + 1], [y, from + 1]]);
  const [low, high] = [[half(a, b, 0), half(c, d, 0)], [half(a, b, 2), half(c, d, 2)]] as [[Scalar, Scalar], [Scalar, Scalar]];
  return [low, high].flatMap(([x, y]) => [0, 2].map((from) => S.vector([S.lane(x, from), S.lane(x, from + 1), S.lane(y, from), S.lane(y, from + 1)])));
};

/** The sums of the lanes of four vectors, as one vector. */
const lanesOfFour = (p: Placer, block: Block, vectors: readonly Scalar[]): Scalar => {
  const [a, b, c, d] = transposed(p, block, vectors) as [Scalar, Scalar, Scalar, Scalar];
  return named(p, block, S.add(S.add(a, b), S.add(c, d)));
};

interface Tiling {
  /** Rows of a tile, and columns in vectors. */
  readonly rows: number;
  readonly vectors: number;
  /** Rows of a thread. */
  readonly chunk: number;
}

/** Tiles for a problem of that many rows, columns and sums that share a left factor. */
const tilingOf = (way: 'packed' | 'along k' | 'direct', rows: number, columns: number, terms: number, batch: number): Tiling => {
  const vectors = way === 'along k' ? 1 : Math.max(1, Math.min(2, Math.floor(2 / terms), Math.ceil(columns / LANES)));
  const most = way === 'along k' ? Math.max(1, Math.floor(2 / terms)) : Math.max(1, Math.floor(SUMS / (vectors * terms)));
  const height = Math.min(rows, way === 'along k' ? most : Math.min(4, most)), panels = batch * Math.ceil(columns / (LANES * vectors));
  const pieces = Math.max(1, Math.min(Math.ceil(FEWEST_GROUPS / panels), Math.floor(rows / 16)));
  return { rows: height, vectors, chunk: Math.ceil(Math.ceil(rows / pieces) / height) * height };
};

/** The kernel; undefined where the problem is none for vectors (whole numbers, results whose columns are not side by side, few of them). */
export const vectorMatmulKernel = (expression: TensorExpression, contraction: Contraction, output: Output, dtypes: DTypes): LoopKernel | undefined => {
  const { axes, variable } = expression, { value, terms, left, over, row, column, batch } = contraction;
  const index = output.index(axes.map(ofVariable)), inner = last(over), outer = over.slice(0, -1);
  if (column === undefined || inner === undefined || column.extent < LANES || !areNeighbours(index, column) || terms.length > 4) return undefined;
  if (terms.some(({ reduce }) => reduce.type !== 'f32') || value.type !== 'f32') return undefined;
  const height = row?.extent ?? 1, width = column.extent, depth = inner.extent;
  const rightsAlongK = terms.every(({ right }) => isRunAlong(right, inner)), rightsAlongColumns = terms.every(({ right }) => isRunAlong(right, column));
  const alongK = rightsAlongK && isRunAlong(left, inner) && height < PACK_FROM && depth >= 2 * LANES;
  const way = alongK ? 'along k' : rightsAlongColumns && height < 8 ? 'direct' : 'packed';
  const tiling = tilingOf(way, height, width, terms.length, count(batch)), { rows, vectors, chunk } = tiling, columns = vectors * LANES;
  const panels = Math.ceil(width / columns), chunks = Math.ceil(height / chunk);

  const grid = [...batch.map((axis) => variable(axis.extent)), variable(chunks), variable(panels)];
  const flat = variable(count(grid)), at = splitThread(ofVariable(flat), grid);
  const gridAt = (i: number): Index => at.get(grid[i]!.id)!; // the grid's own
  const batchAt = new Map(batch.map((axis, i) => [axis.id, gridAt(i)] as const));
  const chunkAt = gridAt(batch.length), panelAt = gridAt(batch.length + 1);
  const p = placer([flat.id]);
  const here = (more: readonly (readonly [Variable | undefined, Index])[]): ReadonlyMap<number, Index> =>
    new Map([...batchAt, ...more.flatMap(([axis, position]) => (axis === undefined ? [] : [[axis.id, position] as const]))]);
  let arrays = 0;
  const array = (length: number): LocalArray => ({ id: arrays++, space: 'thread', type: 'f32', lanes: LANES, length });

  // columns beyond the last one repeat it: what they give is not stored
  const columnAt = (vector: number): Index => plusConstant(times(panelAt, columns), vector * LANES);
  const lanesFrom = (start: Index): readonly Index[] => fourFrom(start).map((position) => clampIndex(position, 0, width - 1));
  const isWhole = width % columns === 0;

  // ---- the panel of the right factor -------------------------------------------------------------------------------------------------
  const contracted = count(over);
  const panel = way === 'packed' ? array(contracted * vectors * terms.length) : undefined;
  const placeOf = (k: Index, term: number, vector: number): Index => plusConstant(times(k, vectors * terms.length), term * vectors + vector);
  const flatK = (outerAt: readonly Index[], k: Index): Index => outer.reduceRight<readonly [Index, number]>(([sum, stride], axis, i) => [plus(sum, times(outerAt[i]!, stride)), stride * axis.extent], [k, depth])[0];
  const pack = (block: Block, whole: boolean): void => nested(p, block, outer, (around) => {
    const outerAt = outer.map(ofVariable);
    const put = (to: Block, k: Index, term: number, vector: number, e: Scalar): void => p.push(to, { kind: 'put', array: panel!, index: placeOf(flatK(outerAt, k), term, vector), value: e });
    const single = (to: Block, k: Index): void => terms.forEach(({ right }, term) => {
      for (let v = 0; v < vectors; v++) put(to, k, term, v, placed(p, widen(substitute(right, here([[inner, k]])), column.id, whole ? fourFrom(columnAt(v)) : lanesFrom(columnAt(v))), to));
    });
    if (!rightsAlongK || depth < LANES) { const k = variable(depth); loop(p, around, k, (to) => single(to, ofVariable(k))); return; }
    const four = variable(Math.floor(depth / LANES)), rest = depth - four.extent * LANES;
    loop(p, around, four, (to) => {
      const from = times(ofVariable(four), LANES);
      terms.forEach(({ right }, term) => {
        for (let v = 0; v < vectors; v++) {
          const lines = (whole ? fourFrom(columnAt(v)) : lanesFrom(columnAt(v))).map((position) => placed(p, widen(substitute(right, here([[column, position]])), inner.id, fourFrom(from)), to));
          transposed(p, to, lines).forEach((e, i) => put(to, plusConstant(from, i), term, v, e));
        }
      });
    });
    for (let i = 0; i < rest; i++) single(around, integer(four.extent * LANES + i));
  });
  if (panel !== undefined) {
    if (isWhole) pack(p.root, true);
    else {
      const inside = S.lt(S.fromIndex(plusConstant(panelAt, 0), 'i32'), S.constant(Math.floor(width / columns), 'i32'));
      for (const [condition, whole] of [[inside, true], [S.not(inside), false]] as const) {
        const branch = p.open(p.root, false);
        pack(branch, whole);
        p.push(p.root, { kind: 'if', condition, body: branch.statements });
      }
    }
  }
  const packed = panel === undefined ? 0 : landmark(p, p.root);

  // ---- tiles ---------------------------------------------------------------------------------------------------------------------------
  const tile = variable(Math.ceil(Math.min(chunk, height) / rows));
  const rowAt = (r: number): Index => clampIndex(plusConstant(plus(times(chunkAt, chunk), times(ofVariable(tile), rows)), r), 0, height - 1);
  const rowInside = (r: number): Scalar => S.indexBelow(plusConstant(plus(times(chunkAt, chunk), times(ofVariable(tile), rows)), r), height);
  const around = aroundSums(p, value, terms.map(({ reduce }) => reduce));

  const finish = (block: Block, sums: readonly (readonly (readonly Scalar[])[])[]): void => {
    // sums: [row][term][vector]
    const storeVector = (to: Block, r: number, v: number): void => {
      const locals = new Map(sums[r]!.map((ofTerm, term) => [around.sums[term]!, ofTerm[v]!] as const)), positions = fourFrom(columnAt(v));
      const e = placed(p, widen(substitute(around.value, here([[row, rowAt(r)]])), column.id, positions, locals), to);
      p.push(to, { kind: 'store', tensor: output.tensor, index: substituteIndex(index, here([[row, rowAt(r)], [column, positions[0]!]]), (x) => x), value: e });
    };
    const guarded = (to: Block, condition: Scalar, body: (inner: Block) => void): void => {
      if (condition.kind === 'constant') { if (condition.value !== 0) body(to); return; }
      const branch = p.open(to, false);
      body(branch);
      p.push(to, { kind: 'if', condition, body: branch.statements });
    };
    const tail = width % LANES, spilled = tail === 0 ? undefined : array(rows * terms.length);
    for (let v = 0; v < vectors; v++) {
      const end = plusConstant(columnAt(v), LANES - 1);
      guarded(block, S.indexBelow(end, width), (to) => { for (let r = 0; r < rows; r++) guarded(to, rowInside(r), (inside) => storeVector(inside, r, v)); });
      if (spilled === undefined) continue;
      // the vector that the last columns share with what is beyond
      const isLast = S.both(S.indexAtLeast(end, width), S.indexBelow(columnAt(v), width));
      guarded(block, isLast, (to) => {
        for (let r = 0; r < rows; r++) sums[r]!.forEach((ofTerm, term) => p.push(to, { kind: 'put', array: spilled, index: integer(r * terms.length + term), value: ofTerm[v]! }));
        const written = landmark(p, to), scalars: LocalArray = { ...spilled, lanes: 1, length: spilled.length * LANES };
        for (let r = 0; r < rows; r++) guarded(to, rowInside(r), (inside) => {
          const c = variable(tail);
          loop(p, inside, c, (each) => {
            const position = plusConstant(ofVariable(c), width - tail);
            const locals = new Map(terms.map((_, term) => [around.sums[term]!, named(p, each, S.element(scalars, plusConstant(ofVariable(c), (r * terms.length + term) * LANES), written))] as const));
            const e = placed(p, widen(substitute(around.value, here([[row, rowAt(r)]])), column.id, [position], locals), each);
            p.push(each, { kind: 'store', tensor: output.tensor, index: substituteIndex(index, here([[row, rowAt(r)], [column, position]]), (x) => x), value: e });
          });
        });
      });
    }
  };

  const zero = S.splat(S.constant(0, 'f32'), LANES);
  loop(p, p.root, tile, (block) => {
    if (way === 'along k') { finish(block, sumsAlongK(block)); return; }
    const sums = Array.from({ length: rows }, () => terms.map(() => Array.from({ length: vectors }, () => p.declare(block, zero))));
    nested(p, block, outer, (around) => {
      const outerAt = outer.map(ofVariable);
      const step = (to: Block, k: Index): void => {
        const lefts = Array.from({ length: rows }, (_, r) => substitute(left, here([[row, rowAt(r)], [inner, k]])));
        const rights = terms.map(({ right }, term) => Array.from({ length: vectors }, (_, v) => named(p, to, panel === undefined
          ? placed(p, widen(substitute(right, here([[inner, k]])), column.id, isWhole ? fourFrom(columnAt(v)) : lanesFrom(columnAt(v))), to)
          : S.element(panel, placeOf(flatK(outerAt, k), term, v), packed))));
        lefts.forEach((e, r) => {
          const a = named(p, to, placedSplat(p, e, to));
          rights.forEach((ofTerm, term) => ofTerm.forEach((b, v) => addTo(p, to, sums[r]![term]![v]!, S.mul(a, b))));
        });
      };
      // one element a round: V8 puts all loads of a round first, and with those of several it runs out of registers
      const k = variable(depth);
      loop(p, around, k, (to) => step(to, ofVariable(k)));
    });
    finish(block, sums);
  });

  function sumsAlongK(block: Block): readonly (readonly (readonly Scalar[])[])[] {
    const sums = Array.from({ length: rows }, () => terms.map(() => Array.from({ length: LANES }, () => p.declare(block, zero))));
    const positions = isWhole ? fourFrom(columnAt(0)) : lanesFrom(columnAt(0)), four = Math.floor(depth / LANES);
    nested(p, block, outer, (around) => {
      const step = (to: Block, k: Index): void => {
        const lefts = Array.from({ length: rows }, (_, r) => named(p, to, placed(p, widen(substitute(left, here([[row, rowAt(r)]])), inner!.id, fourFrom(k)), to)));
        terms.forEach(({ right }, term) => positions.forEach((position, c) => {
          const b = named(p, to, placed(p, widen(substitute(right, here([[column, position]])), inner!.id, fourFrom(k)), to));
          lefts.forEach((a, r) => addTo(p, to, sums[r]![term]![c]!, S.mul(a, b)));
        }));
      };
      const main = variable(four);
      loop(p, around, main, (to) => step(to, times(ofVariable(main), LANES)));
      // elements behind the last vector go to its first lane
      for (let k = four * LANES; k < depth; k++) {
        for (let r = 0; r < rows; r++) terms.forEach(({ right }, term) => positions.forEach((position, c) => {
          const product = named(p, around, placed(p, S.mul(substitute(left, here([[row, rowAt(r)], [inner, integer(k)]])), substitute(right, here([[column, position], [inner, integer(k)]]))), around));
          const nothing = S.constant(0, 'f32');
          addTo(p, around, sums[r]![term]![c]!, S.vector([product, nothing, nothing, nothing]));
        }));
      }
    });
    return sums.map((ofRow) => ofRow.map((ofTerm) => [lanesOfFour(p, block, ofTerm)]));
  }

  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: [flat], lane: undefined, workgroupSize: [1, 1, 1], body: p.root.statements };
};

/** An element in all lanes; a plain load becomes one instruction with the splat. */
const placedSplat = (p: Placer, e: Scalar, block: Block): Scalar => {
  if (e.kind === 'load') return S.splat(S.load(e.tensor, p.placeIndex(e.index, block), e.stored), LANES);
  return S.splat(placed(p, e, block), LANES);
};
