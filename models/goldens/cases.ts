/** Golden files of several small cases each: patches and back, nearest resize, rotary tables. */
import { makeGraph, type Graph, type Sizes } from '../../dsl/graph/graph.ts';
import { input, resizeNearest, stackTensors } from '../../dsl/index.ts';
import { covered, imageOf, pixelsOf, tokensOf, uncovered } from '../pixnerd/patch.ts';
import { EXCHANGED_GRID, ropeTable, UNIT_GRID, type Extent } from '../pixnerd/rope.ts';

type Fields = Readonly<Record<string, unknown>>;
const number = (value: unknown): number => (typeof value === 'number' ? value : NaN);

/** The names of a case's lone input, `in.<case>`, and of a lone output, `out.<case>`; others keep what follows the case's name. */
export const LONE_INPUT = 'x';
export const LONE_OUTPUT = 'y';

/** How the cases of a file run. */
export interface CaseKind {
  readonly graph: (fields: Fields) => Graph;
  /** `shape` is that of the case's input, if it has one. */
  readonly sizes: (fields: Fields, shape: readonly number[]) => Sizes;
}

const patchGraph = (): Graph => {
  const image = input(LONE_INPUT, ['B', 'C', '(P*h+r)', '(Q*w+s)']);
  const tokens = tokensOf(covered(image));
  const pixels = pixelsOf(tokens);
  return makeGraph({ tokens, pixels, folded: uncovered(imageOf(pixels)) }, [image]);
};

const patchify: CaseKind = {
  graph: patchGraph,
  sizes: (fields, [B = NaN, C = NaN, height = NaN, width = NaN]) => {
    const [P, Q] = [number(fields['kh']), number(fields['kw'])];
    return { B, C, P, Q, h: Math.floor(height / P), w: Math.floor(width / Q), r: height % P, s: width % Q };
  },
};

const resize: CaseKind = {
  graph: () => makeGraph({ [LONE_OUTPUT]: resizeNearest(input(LONE_INPUT, ['B', 'C', 'Y', 'X']), ['y', 'x']) }),
  sizes: (fields, [B = NaN, C = NaN, Y = NaN, X = NaN]) => ({ B, C, Y, X, y: number(fields['out_h']), x: number(fields['out_w']) }),
};

/** The exchanged grid, its positions scaled where the case says so. */
const extentOf = ({ fn, scale, height, width }: Fields): Extent => {
  if (!String(fn).includes('ex2d')) return UNIT_GRID;
  const factors = Array.isArray(scale) ? (scale as readonly unknown[]).map(number) : undefined;
  return factors === undefined ? EXCHANGED_GRID : { columns: number(height) * factors[0]!, rows: number(width) * factors[1]! };
};

const tables: CaseKind = {
  graph: (fields) => {
    const { cos, sin } = ropeTable(extentOf(fields));
    return makeGraph({ [LONE_OUTPUT]: stackTensors([cos, sin], -1) });
  },
  sizes: ({ dim, height, width }) => ({ h: number(height), w: number(width), K: number(dim) / 4 }),
};

/** By a word in the class that the file names. */
const KINDS: readonly (readonly [RegExp, CaseKind])[] = [[/unfold|fold/, patchify], [/interpolate/, resize], [/precompute_freqs_cis/, tables]];

export const caseKindOf = (className: string): CaseKind | undefined => KINDS.find(([pattern]) => pattern.test(className))?.[1];
