/**
 * Optimiser steps over flat buffers: graphs whose outputs take the place of their inputs, so that one program serves every step.
 *
 * Inputs `param`, `grad`, the states and `ema` [n], `norm` [1] (the length of the whole gradient) and `hyper`, the numbers of a step.
 * Invariant: whatever changes from step to step is in `hyper`; an element whose value, gradient and states are zero stays zero.
 */
import { type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import { add, div, index, input, minimum, mul, reshape, sqrt, square, sub, type T } from '../../dsl/index.ts';

interface Common {
  /** Of the averages of the parameters; none are kept where it is left out. */
  readonly emaDecay?: number;
  /** Gradients that are longer than this, all of them together, are scaled to it. */
  readonly clip?: number;
  readonly weightDecay?: number;
}
/** Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), as torch.optim.AdamW computes it. */
export interface AdamWOptions extends Common {
  readonly kind: 'adamw';
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
}
/** Gradient descent with momentum, as torch.optim.SGD computes it: the weight decay is added to the gradient. */
export interface SgdOptions extends Common {
  readonly kind: 'sgd';
  readonly momentum?: number;
  readonly nesterov?: boolean;
}
export type OptimizerOptions = AdamWOptions | SgdOptions;

/** An optimiser over flat buffers of `n` elements, as the trainer takes it. */
export interface Optimizer {
  /** Inputs `param`, `grad`, the states, `ema` where averages are kept, `hyper` and `norm` [1]; outputs under the names of what they replace. */
  readonly graph: Graph;
  /** Names of its states, e.g. `m` and `v`; they begin at zero. */
  readonly states: readonly string[];
  readonly ema: boolean;
  /** The numbers of a step, counted from 1. */
  readonly hyper: (step: number) => Float32Array<ArrayBuffer>;
}

type Flat = T<['n']>;
type Scalar = T<[]>;

/** What torch.nn.utils.clip_grad_norm_ adds to the length before it divides. */
const CLIP_EPSILON = 1e-6;

/** Numbers of a step by name, each in its place of `hyper`. */
const hyperOf = <const Names extends readonly string[]>(names: Names): { readonly input: T<['k']>; readonly at: Readonly<Record<Names[number], Scalar>> } => {
  const vector = input('hyper', ['k']);
  return { input: vector, at: Object.fromEntries(names.map((name, i) => [name, index(vector, 0, i as 0)])) as Record<Names[number], Scalar> }; // one for each name
};

const averaged = (param: Flat, ema: Flat, decay: Scalar): Flat => add(mul(ema, decay), mul(param, sub(1, decay)));
const clipped = (grad: Flat, norm: T<[1]>, clip: Scalar): Flat => mul(grad, minimum(div(clip, add(reshape(norm, []), CLIP_EPSILON)), 1));

/** Far above every gradient: nothing is clipped. */
const UNCLIPPED = 1e30;

const adamw = (options: AdamWOptions, learningRate: (step: number) => number): Optimizer => {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01, emaDecay, clip = UNCLIPPED } = options;
  const hyper = hyperOf(['shrink', 'beta1', 'rest1', 'beta2', 'rest2', 'rate', 'root', 'epsilon', 'clip', 'ema']), { at } = hyper;
  const [param, grad, m, v, ema, norm] = [input('param', ['n']), input('grad', ['n']), input('m', ['n']), input('v', ['n']), input('ema', ['n']), input('norm', [1])];
  const g = clipped(grad, norm, at.clip);
  const mean = add(mul(m, at.beta1), mul(g, at.rest1)), variance = add(mul(v, at.beta2), mul(square(g), at.rest2));
  const next = sub(mul(param, at.shrink), mul(at.rate, div(mean, add(div(sqrt(variance), at.root), at.epsilon))));
  return {
    graph: makeGraph({ m: mean, v: variance, param: next, ...(emaDecay !== undefined && { ema: averaged(next, ema, at.ema) }) }, [param, grad, m, v, ...(emaDecay === undefined ? [] : [ema]), hyper.input, norm]),
    states: ['m', 'v'], ema: emaDecay !== undefined,
    hyper: (step) => {
      const rate = learningRate(step);
      return Float32Array.of(1 - rate * weightDecay, beta1, 1 - beta1, beta2, 1 - beta2, rate / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step), epsilon, clip, emaDecay ?? 0);
    },
  };
};

const sgd = (options: SgdOptions, learningRate: (step: number) => number): Optimizer => {
  const { momentum = 0, nesterov = false, weightDecay = 0, emaDecay, clip = UNCLIPPED } = options;
  const hyper = hyperOf(['decay', 'momentum', 'rate', 'clip', 'ema']), { at } = hyper;
  const [param, grad, velocity, ema, norm] = [input('param', ['n']), input('grad', ['n']), input('velocity', ['n']), input('ema', ['n']), input('norm', [1])];
  const g = add(clipped(grad, norm, at.clip), mul(param, at.decay)), moving = add(mul(velocity, at.momentum), g);
  const next = sub(param, mul(momentum === 0 ? g : nesterov ? add(g, mul(moving, at.momentum)) : moving, at.rate));
  return {
    graph: makeGraph({ ...(momentum > 0 && { velocity: moving }), param: next, ...(emaDecay !== undefined && { ema: averaged(next, ema, at.ema) }) },
      [param, grad, ...(momentum > 0 ? [velocity] : []), ...(emaDecay === undefined ? [] : [ema]), hyper.input, norm]),
    states: momentum > 0 ? ['velocity'] : [], ema: emaDecay !== undefined,
    hyper: (step) => Float32Array.of(weightDecay, momentum, learningRate(step), clip, emaDecay ?? 0),
  };
};

/** The optimiser of some options; `learningRate` is that of each step, counted from 1. */
export const optimizerOf = (options: OptimizerOptions, learningRate: (step: number) => number): Optimizer =>
  options.kind === 'adamw' ? adamw(options, learningRate) : sgd(options, learningRate);
