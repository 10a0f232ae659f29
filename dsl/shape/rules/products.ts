/** Rules of products: matmul, linear, attention, embedding. Each is a signature; the first two axes from the end are the matrix. */
import { signatureRule, showShapes } from '../signature.ts';
import type { Signature, ShowShapes } from '../signature.ts';
import { showShape } from '../dim.ts';
import type { Dim, Shape, ShowShape } from '../dim.ts';
import { align } from './sizes.ts';
import type { Aligned } from './sizes.ts';

/** The one source of both interpreters. */
export const SIGNATURES = {
  linear: '*lead in, out in -> *lead out',
  scale: '*lead dim, dim -> *lead dim',
  embedding: 'count dim, *index -> *index dim',
  matmul: 'rows inner, inner cols -> rows cols',
  attention: 'query head, key head, key out -> query out',
  scores: 'query head, key head -> query key',
  rope: '*lead n (half 2), n half, n half -> *lead n (half 2)',
} as const;
type Signatures = typeof SIGNATURES;

export type LinearRule<X extends Shape, W extends Shape, Op extends string = 'linear'> = Signature<Op, Signatures['linear'], [X, W]>;
export const linearRule = (x: Shape, weight: Shape, op = 'linear'): Shape | string => signatureRule(op, SIGNATURES.linear, [x, weight]);

export type ScaleRule<Op extends string, X extends Shape, W extends Shape> = Signature<Op, Signatures['scale'], [X, W]>;
export const scaleRule = (op: string, x: Shape, weight: Shape): Shape | string => signatureRule(op, SIGNATURES.scale, [x, weight]);

export type EmbeddingRule<Table extends Shape, Index extends Shape> = Signature<'embedding', Signatures['embedding'], [Table, Index]>;
export const embeddingRule = (table: Shape, index: Shape): Shape | string => signatureRule('embedding', SIGNATURES.embedding, [table, index]);

type Matrices<Ss extends readonly Shape[], Leads extends Shape[] = [], Tails extends Shape[] = []> =
  Ss extends readonly [infer First extends Shape, ...infer Rest extends readonly Shape[]]
    ? First extends readonly [...infer Lead extends Shape, infer a extends Dim, infer b extends Dim]
      ? Matrices<Rest, [...Leads, Lead], [...Tails, [a, b]]>
      : 'needs two dimensions or more'
    : { leads: Leads; tails: Tails };
type AlignAll<Leads extends readonly Shape[], Result extends Shape = []> =
  Leads extends readonly [infer First extends Shape, ...infer Rest extends readonly Shape[]]
    ? Aligned<Result, First> extends infer R ? (R extends Shape ? AlignAll<Rest, R> : R) : never
    : Result;
/** A signature over the last two dimensions; those before are broadcast. */
export type BatchedRule<Op extends string, S extends string, Ss extends readonly Shape[]> =
  Matrices<Ss> extends { leads: infer Leads extends Shape[]; tails: infer Tails extends Shape[] }
    ? Signature<Op, S, Tails, {}, Ss> extends infer Matrix
      ? Matrix extends Shape
        ? AlignAll<Leads> extends infer Lead
          ? Lead extends Shape ? [...Lead, ...Matrix]
            : Lead extends { fail: [infer a extends Dim, infer b extends Dim] } ? `${Op}: batch differs: ${a} vs ${b} in ${ShowShapes<Ss>}` : never
          : never
        : Matrix
      : never
    : `${Op}: needs two dimensions or more in ${ShowShapes<Ss>}`;
export const batchedRule = (op: string, signature: string, shapes: readonly Shape[]): Shape | string => {
  if (shapes.some((shape) => shape.length < 2)) return `${op}: needs two dimensions or more in ${showShapes(shapes)}`;
  const matrix = signatureRule(op, signature, shapes.map((shape) => shape.slice(-2)), {}, shapes);
  if (typeof matrix === 'string') return matrix;
  let lead: Shape = [];
  for (const shape of shapes) {
    const aligned = align(lead, shape.slice(0, -2));
    if ('fail' in aligned) return `${op}: batch differs: ${aligned.fail[0]} vs ${aligned.fail[1]} in ${showShapes(shapes)}`;
    lead = aligned.shape;
  }
  return [...lead, ...matrix];
};

export type MatmulRule<A extends Shape, B extends Shape> = BatchedRule<'matmul', Signatures['matmul'], [A, B]>;
export const matmulRule = (a: Shape, b: Shape): Shape | string => batchedRule('matmul', SIGNATURES.matmul, [a, b]);

export type AttentionRule<Q extends Shape, K extends Shape, V extends Shape> = BatchedRule<'attention', Signatures['attention'], [Q, K, V]>;
export const attentionRule = (q: Shape, k: Shape, v: Shape): Shape | string => batchedRule('attention', SIGNATURES.attention, [q, k, v]);

/** The mask of attention broadcasts to the scores [*lead, query, key], and not the scores to it. */
export type MaskRule<Q extends Shape, K extends Shape, M extends Shape> =
  BatchedRule<'attention', Signatures['scores'], [Q, K]> extends infer Scores
    ? Scores extends Shape
      ? Aligned<Scores, M> extends Scores ? [...M] : `attention: the mask ${ShowShape<M>} does not broadcast to the scores ${ShowShape<Scores>}`
      : Scores
    : never;
export const maskRule = (q: Shape, k: Shape, mask: Shape): Shape | string => {
  const scores = batchedRule('attention', SIGNATURES.scores, [q, k]);
  if (typeof scores === 'string') return scores;
  const aligned = align(scores, mask);
  return 'shape' in aligned && showShape(aligned.shape) === showShape(scores)
    ? mask
    : `attention: the mask ${showShape(mask)} does not broadcast to the scores ${showShape(scores)}`;
};

export type RopeRule<X extends Shape, Cos extends Shape, Sin extends Shape> = Signature<'rope', Signatures['rope'], [X, Cos, Sin]>;
export const ropeRule = (x: Shape, cos: Shape, sin: Shape): Shape | string => signatureRule('rope', SIGNATURES.rope, [x, cos, sin]);
