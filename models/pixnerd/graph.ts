/** The class model as graphs: what a backend compiles. Sizes are bound afterwards, with `sizesOf`. */
import * as E from 'fp-ts/Either';
import { apply } from '../../dsl/graph/apply.ts';
import { bindSizes, inputName, makeGraph, mapGraph, type Graph, type Sizes } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { bind, concat, expand, input, parameters, sizeOf, sub, type T } from '../../dsl/index.ts';
import type { GuidanceName } from '../sampling/plan.ts';
import { GUIDANCE } from '../sampling/programs.ts';
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

/** The graph on twice the batch, its inputs replaced by the given nodes. */
const onDoubledBatch = (graph: Graph, inputs: Readonly<Record<string, Node>>): Graph => {
  // a size may be another dimension, as in every rule; only the type of bindSizes is narrower
  const doubled = bindSizes(graph, { B: '2*B' } as unknown as Sizes);
  const given = (node: Node): Node | undefined => (node.op === 'input' ? inputs[inputName(node)] : undefined);
  return mapGraph(doubled, (node, operands) => given(node) ?? apply(node.op, operands, node.attributes));
};

/**
 * A guided velocity in one program: the network sees the batch twice, first with the null class, then with y, and its two answers
 * are guided. Inputs `x` [B, C, height, width], `t` [], `y` [B] (i32) and `guidance` []; output `v`.
 */
export const guidedVelocityGraph = (depth: Depth, name: GuidanceName = 'simple'): Graph => {
  const [x, t, y, guidance] = [input('x', ['B', 'C', 'P*h', 'Q*w']), input('t', []), input('y', ['B'], 'i32'), input('guidance', [])];
  const none = expand(sub(sizeOf('V', 'i32'), 1), ['B']);
  const network = onDoubledBatch(velocityGraph(depth), { x: concat([x, x], 0), t: expand(t, ['2*B']), y: concat([none, y], 0) });
  const both = network.outputs[0]!.node as T<['2*B', 'C', 'P*h', 'Q*w']>; // its one output, on the doubled batch
  return makeGraph({ v: GUIDANCE[name](both, guidance) }, [x, t, y, guidance]);
};
