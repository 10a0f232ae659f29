/**
 * Flow matching as the authors compute it: x_t = alpha x + sigma noise, the network predicts alpha' x + sigma' noise, and the squared error
 * counts by a weight of the time. t runs from 0 (noise) to 1 (image).
 */
import { type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import { add, bind, cos, div, input, maximum, mean, minimum, mul, neg, normal, reshape, sin, square, sub, type T } from '../../dsl/index.ts';
import { typed } from '../../dsl/language/build.ts';
import type { Dim } from '../../dsl/shape/dim.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import type { Depth, Image } from '../pixnerd/pixnerd.ts';
import { pixnerd } from '../pixnerd/pixnerd.ts';
import type { SchedulerName } from '../sampling/scheduler.ts';

/** How the error at a time counts; `minsnr` is max(snr, 5) and `maxsnr` min(snr, 5), as in the authors' code. */
export const LOSS_WEIGHTS = ['constant', 'snr', 'inverse_sigma', 'minsnr', 'maxsnr'] as const;
export type LossWeight = (typeof LOSS_WEIGHTS)[number];

export interface LossOptions {
  readonly scheduler?: SchedulerName;
  readonly weight?: LossWeight;
}

type Times = T<['B']>;
type Each = T<['B', 1, 1, 1]>;

/** alpha, sigma and their rates (the authors': those of GVP without the factor pi / 2). */
const scheduled = (scheduler: SchedulerName, t: Times): Readonly<Record<'alpha' | 'sigma' | 'alphaRate' | 'sigmaRate', Times>> => {
  const zero = mul(t, 0), one = add(zero, 1);
  if (scheduler !== 'gvp') return { alpha: t, sigma: sub(1, t), alphaRate: one, sigmaRate: neg(one) };
  const angle = mul(t, Math.PI / 2);
  return { alpha: cos(angle), sigma: sin(angle), alphaRate: neg(sin(angle)), sigmaRate: cos(angle) };
};

const SNR_LIMIT = 5;
const weightOf = (weight: LossWeight, alpha: Times, sigma: Times): Times | undefined => {
  const snr = () => div(alpha, sigma);
  switch (weight) {
    case 'constant': return undefined;
    case 'snr': return snr();
    case 'inverse_sigma': return div(1, square(sigma));
    case 'minsnr': return maximum(snr(), SNR_LIMIT);
    case 'maxsnr': return minimum(snr(), SNR_LIMIT);
  }
};

/** The noisy image and what the network should say of it. */
export const noised = (x: Image, noise: Image, t: Times, scheduler: SchedulerName = 'linear'): { readonly x_t: Image; readonly target: Image; readonly alpha: Times; readonly sigma: Times } => {
  const { alpha, sigma, alphaRate, sigmaRate } = scheduled(scheduler, t), each = (of: Times): Each => reshape(of, ['B', 1, 1, 1]);
  return { x_t: add(mul(x, each(alpha)), mul(noise, each(sigma))), target: add(mul(x, each(alphaRate)), mul(noise, each(sigmaRate))), alpha, sigma };
};

/** Images of any size, one for each time. */
type Images = Tensor<readonly ['B', Dim, Dim, Dim], 'f32'>;
type Labels = T<['B'], 'i32'>;
interface FlowMatching<X> { readonly loss: T<[]>; readonly x_t: X; readonly v: X }

/** mean(weight (network(x_t, t, y) - target)^2): x and noise [B, C, H, W], t [B] already drawn and shifted, y [B]. */
export const flowMatchingLoss: <X extends Images>(network: (x: X, t: Times, y: Labels) => X, options?: LossOptions) => (x: NoInfer<X>, noise: NoInfer<X>, t: Times, y: Labels) => FlowMatching<X> = typed(
  (network: (x: Image, t: Times, y: Labels) => Image, { scheduler = 'linear', weight = 'constant' }: LossOptions = {}) => (x: Image, noise: Image, t: Times, y: Labels): FlowMatching<Image> => {
    const { x_t, target, alpha, sigma } = noised(x, noise, t, scheduler), v = network(x_t, t, y), factor = weightOf(weight, alpha, sigma);
    const error = square(sub(v, target)), counted = factor === undefined ? error : mul(error, reshape(factor, ['B', 1, 1, 1]));
    return { loss: mean(mean(mean(mean(counted, 3), 2), 1), 0), x_t, v };
  },
);

/** The training graph of the class model: inputs `x` [B, C, H, W] in -1..1, `t` [B], `y` [B] (labels, some dropped), `keys` [B, 2] of each image's noise; output `loss`. */
export const trainingGraph = (depth: Depth, options: LossOptions = {}): Graph => {
  const x = input('x', ['B', 'C', 'P*h', 'Q*w']), [t, y, keys] = [input('t', ['B']), input('y', ['B'], 'i32'), input('keys', ['B', 2], 'u32')];
  const { loss } = flowMatchingLoss(bind(pixnerd(depth)), options)(x, normal(keys, ['B', 'C', 'P*h', 'Q*w']), t, y);
  return makeGraph({ loss }, [x, t, y, keys]);
};
