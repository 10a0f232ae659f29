/**
 * A small convolutional classifier: what generated images are judged by. Three convolutions with stride 2, then a layer whose outputs are
 * the features that distances between sets of images are measured on.
 *
 *   B batch   C channels   8h x 8w pixels   D, E, G widths of the convolutions   F features   K classes
 */
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { bind, eq, expand, input, iota, layers, logSumExp, maximum, mean, module, parameters, rearrange, select, sub, sum, type T, unsqueeze } from '../../dsl/index.ts';
import { windows } from './windows.ts';

type Image = T<['B', 'C', '8*h', '8*w']>;

/** Features and, from them, logits of the classes. */
export const classifier = module(
  {
    conv1: layers.linear('16*C', 'D'), conv2: layers.linear('16*D', 'E'), conv3: layers.linear('16*E', 'G'),
    features: layers.linear('h*w*G', 'F'), head: layers.linear('F', 'K'),
  },
  (p) => (image: Image): { readonly features: T<['B', 'F']>; readonly logits: T<['B', 'K']> } => {
    const x = rearrange(image, 'b c y x -> b y x c');
    const a = maximum(p.conv1(windows(x, '4*h', '4*w')), 0);
    const b = maximum(p.conv2(windows(a, '2*h', '2*w')), 0);
    const c = maximum(p.conv3(windows(b, 'h', 'w')), 0);
    const features = maximum(p.features(rearrange(c, 'b y x c -> b (y x c)')), 0);
    return { features, logits: p.head(features) };
  },
);

/** Minus the logarithm of the probability that the logits give the right classes, in the mean. */
export const crossEntropy = (logits: T<['B', 'K']>, labels: T<['B'], 'i32'>): T<[]> => {
  const right = eq(expand(unsqueeze(labels, 1), ['B', 'K']), iota('K'));
  return mean(sub(logSumExp(logits, -1), sum(select(right, logits, 0), -1)), 0);
};

/** Input `x` [B, C, height, width] in -1 ... 1; outputs `features` [B, F] and `logits` [B, K]. */
export const classifierGraph = (): Graph => {
  const x = input('x', ['B', 'C', '8*h', '8*w']);
  return makeGraph(bind(classifier)(x), [x]);
};

/** The same with labels `y` [B]; output `loss`. */
export const classifierLossGraph = (): Graph => {
  const x = input('x', ['B', 'C', '8*h', '8*w']), y = input('y', ['B'], 'i32');
  return makeGraph({ loss: crossEntropy(bind(classifier)(x).logits, y) }, [x, y]);
};

/** What a classifier is made for. */
export interface ClassifierConfig {
  readonly channels: number;
  /** Multiples of 8. */
  readonly height: number;
  readonly width: number;
  readonly classes: number;
  /** Of the three convolutions. */
  readonly widths: readonly [number, number, number];
  readonly features: number;
}

/** A multiple of the stride of all convolutions together. */
export const CLASSIFIER_STRIDE = 8;

export const classifierSizes = ({ channels, height, width, classes, widths: [D, E, G], features }: ClassifierConfig, batch: number): Sizes => ({
  B: batch, C: channels, h: height / CLASSIFIER_STRIDE, w: width / CLASSIFIER_STRIDE, D, E, G, F: features, K: classes,
});

/** Names and shapes of its parameters. */
export const classifierShapes = (config: ClassifierConfig): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries(parameters(classifier, classifierSizes(config, 1))) as Record<string, number[]>; // every symbol is bound
