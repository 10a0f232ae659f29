/** The class model as graphs: what a backend compiles. Sizes are bound afterwards, with `sizesOf`. */
import * as E from 'fp-ts/Either';
import { makeGraph, type Graph } from '../../dsl/graph/graph.ts';
import { bind, input, parameters } from '../../dsl/index.ts';
import { sizesOf, type C2iConfig, type C2iSizes } from './config.ts';
import { pixnerd, type Depth } from './pixnerd.ts';

/** Inputs `x` [B, C, height, width], `t` [B], `y` [B] (i32); output `v`, the velocity. */
export const velocityGraph = (depth: Depth): Graph => {
  const x = input('x', ['B', 'C', 'P*h', 'Q*w']);
  const t = input('t', ['B']);
  const y = input('y', ['B'], 'i32');
  return makeGraph({ v: bind(pixnerd(depth))(x, t, y) }, [x, t, y]);
};

/** The same with the condition `s` [B, h*w, D] in place of the transformer; time and class play no part. */
export const decoderGraph = (depth: Depth): Graph => {
  const x = input('x', ['B', 'C', 'P*h', 'Q*w']);
  const s = input('s', ['B', 'h*w', 'D']);
  const [t, y] = [input('t', ['B']), input('y', ['B'], 'i32')];
  return makeGraph({ v: bind(pixnerd(depth))(x, t, y, s) }, [x, s]);
};

/** Official names and shapes of all parameters. The configuration must be free of mistakes. */
export const parameterShapes = (config: C2iConfig): Readonly<Record<string, readonly number[]>> => {
  const sizes: E.Either<unknown, C2iSizes> = sizesOf(config, { batch: 1, height: config.patch_size, width: config.patch_size });
  if (E.isLeft(sizes)) throw new Error(`parameterShapes: ${String(sizes.left)}`);
  return Object.fromEntries(parameters(pixnerd(config), sizes.right)) as Record<string, number[]>; // every symbol is bound
};
