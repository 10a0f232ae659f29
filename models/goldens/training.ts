/**
 * Goldens of training: the loss of a step and its gradients (`training`), steps of the optimiser on them (`training steps`), and the
 * optimiser by itself (`optimizer`). What is drawn lies in the file; what is made of it is computed as the models do.
 */
import * as E from 'fp-ts/Either';
import { pipe } from 'fp-ts/function';
import * as TE from 'fp-ts/TaskEither';
import { type Graph, inputName, makeGraph, type Sizes } from '../../dsl/graph/graph.ts';
import { bind, gradientName, input, withGradients } from '../../dsl/index.ts';
import { configMistakes, sizesOf, type C2iConfig } from '../pixnerd/config.ts';
import { pixnerd } from '../pixnerd/pixnerd.ts';
import { flowMatchingLoss, type LossWeight, LOSS_WEIGHTS } from '../training/loss.ts';
import { normGraph, normSizes, ROW } from '../training/norm.ts';
import { optimizerOf } from '../training/optimizer.ts';
import { alignedLoss, layerMistake } from '../training/repa.ts';
import type { SchedulerName } from '../sampling/scheduler.ts';
import { configOf, dataUnder, elementsOf, type Feeds, type GoldenHeader, type GoldenRun, namesUnder, NO_WEIGHTS, type Numbers, shapeOf, type Sources } from './golden.ts';

type Fields = Readonly<Record<string, unknown>>;
const objectIn = ({ metadata }: GoldenHeader, field: string): Fields => JSON.parse(metadata[field] ?? '{}') as Fields; // `goldenRun` has read them
const listIn = ({ metadata }: GoldenHeader, field: string): readonly Fields[] => JSON.parse(metadata[field] ?? '[]') as Fields[];

/** One way to compute the loss: the file's own, or a variant of it. */
interface Trainer {
  readonly lognormal: boolean;
  readonly timeshift: number;
  readonly dropped: number;
  readonly scheduler: SchedulerName;
  readonly weight: LossWeight;
  /** 1-based; with features of an encoder in the file. */
  readonly alignLayer: number | undefined;
  readonly alignWeight: number;
  readonly encoderTokens: number | undefined;
}
const SCHEDULER_CLASSES: Readonly<Record<string, SchedulerName>> = { LinearScheduler: 'linear', GVPScheduler: 'gvp', ConstScheduler: 'const' };

const trainerOf = (fields: Fields): E.Either<string, Trainer> => {
  const number = (name: string, usual: number): number => (typeof fields[name] === 'number' ? fields[name] : usual);
  const said = typeof fields['scheduler'] === 'string' ? fields['scheduler'] : 'LinearScheduler';
  const scheduler = SCHEDULER_CLASSES[said], weight = LOSS_WEIGHTS.find((name) => name === (fields['lossw'] ?? 'constant'));
  if (scheduler === undefined) return E.left(`no scheduler is known for the class '${said}'; known are ${Object.keys(SCHEDULER_CLASSES).join(', ')}`);
  if (weight === undefined) return E.left(`there is no loss weight '${String(fields['lossw'])}', only ${LOSS_WEIGHTS.join(', ')}`);
  return E.right({
    lognormal: fields['lognorm_t'] === true, timeshift: number('timeshift', 1), dropped: number('null_condition_p', 0.1), scheduler, weight,
    alignLayer: 'align_layer' in fields ? number('align_layer', 1) : undefined, alignWeight: number('feat_loss_weight', 0.5),
    encoderTokens: 'encoder_tokens' in fields ? number('encoder_tokens', 0) : undefined,
  });
};

/** t as the network gets it, from what was drawn. */
const timesOf = ({ lognormal, timeshift }: Trainer, raw: Numbers): Float32Array =>
  Float32Array.from(raw, (r) => {
    const t = lognormal ? 1 / (1 + Math.exp(-r)) : r;
    return t / (t + (1 - t) * timeshift);
  });
/** Labels, some of which the mask drops. */
const labelsOf = ({ dropped }: Trainer, tensor: (name: string) => Numbers, mask: Numbers): Int32Array => {
  const [labels, none] = [tensor('in.condition'), tensor('in.uncondition')];
  return Int32Array.from(mask, (value, i) => (value < dropped ? none[i]! : labels[i]!));
};

const IMAGE = ['B', 'C', 'P*h', 'Q*w'] as const;

/** Outputs `loss`, `fm_loss` and `cos_loss` where features are aligned, `x_t` and `out`. */
const lossGraph = (config: C2iConfig, { scheduler, weight, alignLayer, alignWeight }: Trainer): Graph => {
  const [x, noise, t, y] = [input('x', IMAGE), input('noise', IMAGE), input('t', ['B']), input('y', ['B'], 'i32')];
  const { loss, x_t, v } = flowMatchingLoss(bind(pixnerd(config)), { scheduler, weight })(x, noise, t, y);
  if (alignLayer === undefined) return makeGraph({ loss, x_t, out: v }, [x, noise, t, y]);
  const features = input('encoder_feature', ['B', 'N', 'E']), aligned = alignedLoss(loss, v, features, { layer: alignLayer, weight: alignWeight });
  return makeGraph({ loss: aligned.loss, fm_loss: loss, cos_loss: aligned.cosine, x_t, out: v }, [x, noise, t, y, features]);
};

const configIn = (header: GoldenHeader): E.Either<string, C2iConfig> => {
  const config = configOf(header) as unknown as C2iConfig, mistakes = /t2i/.test(header.metadata['class'] ?? '') ? ['training the text model cannot be run yet: only the class model has its loss'] : configMistakes(config);
  return mistakes.length === 0 ? E.right(config) : E.left(mistakes.join('; '));
};
const sizesIn = (header: GoldenHeader, config: C2iConfig): E.Either<string, Sizes> => {
  const [batch = NaN, , height = NaN, width = NaN] = shapeOf(header, 'in.x') ?? [], Z = shapeOf(header, 'param.proj.0.0.weight')?.[0], E_ = shapeOf(header, 'param.proj.0.4.weight')?.[0];
  return pipe(sizesOf(config, { batch, height, width }), E.bimap((mistakes) => mistakes.join('; '), (sizes): Sizes => ({ ...sizes, ...(Z !== undefined && { Z }), ...(E_ !== undefined && { E: E_ }) })));
};

/** Why the tokens of a model cannot be aligned with the features in the file. */
const alignmentMistake = (header: GoldenHeader, config: C2iConfig, { alignLayer, encoderTokens }: Trainer): string | undefined => {
  if (alignLayer === undefined) return undefined;
  const [, , height = NaN, width = NaN] = shapeOf(header, 'in.x') ?? [], own = (height * width) / config.patch_size ** 2;
  const given = shapeOf(header, 'in.encoder_feature')?.[1] ?? 0, used = encoderTokens ?? given;
  return layerMistake(config, alignLayer)
    ?? (used >= 1 && used <= Math.min(given, own) ? undefined : `${used} tokens of the encoder are to be aligned; the file has features of ${given}, the model has ${own} tokens`);
};

const alignable = (header: GoldenHeader, config: C2iConfig) => E.chain((trainer: Trainer): E.Either<string, Trainer> => {
  const mistake = alignmentMistake(header, config, trainer);
  return mistake === undefined ? E.right(trainer) : E.left(mistake);
});

/** Values under the names that a file has. */
const known = (header: GoldenHeader, values: Feeds): Feeds => Object.fromEntries(Object.entries(values).filter(([name]) => name in header.tensors));
const both = (prefix: string, values: Feeds): Feeds => Object.fromEntries(Object.entries(values).flatMap(([name, value]) => [[`out.${prefix}${name}`, value], [`out64.${prefix}${name}`, value]]));
const merged = (all: readonly Feeds[]): Feeds => Object.assign({}, ...all) as Feeds; // each is Feeds

// training ----------------------------------------------------------------------------------------------------------------------------

interface Variant { readonly prefix: string; readonly trainer: Trainer; readonly graph: Graph }

export const trainingRun = (header: GoldenHeader): E.Either<string, GoldenRun> => pipe(
  E.Do,
  E.bind('config', () => configIn(header)),
  E.bind('sizes', ({ config }) => sizesIn(header, config)),
  E.bind('variants', ({ config }) => {
    const own = objectIn(header, 'trainer'), all = [{ name: '' }, ...listIn(header, 'variants')];
    return E.traverseArray((fields: Fields) => pipe(
      trainerOf({ ...own, ...fields }),
      alignable(header, config),
      E.map((trainer): Variant => {
        const name = String(fields['name']), graph = lossGraph(config, trainer);
        return { prefix: name === '' ? '' : `${name}.`, trainer, graph: name === '' ? withGradients(graph) : graph };
      }),
    ))(all);
  }),
  E.map(({ sizes, variants }): GoldenRun => ({
    needsCheckpoint: false,
    run: <Failure>({ evaluate, tensor }: Sources<Failure>) => {
      const parameters = dataUnder(header, 'param.', tensor);
      const one = ({ prefix, trainer, graph }: Variant) => {
        const drawn = (name: string): Numbers => tensor(`in.${prefix}${name}`), t = timesOf(trainer, drawn('t_raw')), y = labelsOf(trainer, tensor, drawn('rand_mask'));
        const { inputs: features, sizes: tokens } = encoderFeatures(header, trainer, tensor);
        return TE.map((values: Feeds): Feeds => {
          const { x_t, out, ...rest } = values, losses = Object.fromEntries(Object.entries(rest).filter(([name]) => name.endsWith('loss'))), slopes = Object.entries(rest).filter(([name]) => name.startsWith('grad.'));
          return { ...both(prefix, losses), ...(prefix === '' && { 'mid.x_t': x_t!, 'mid.out': out!, 'mid.t': t, 'mid.y': y, ...Object.fromEntries(slopes) }) };
        })(evaluate({ graph, sizes: { ...sizes, ...tokens }, inputs: { x: tensor('in.x'), noise: drawn('noise'), t, y, ...features }, parameters }));
      };
      return pipe(variants.map(one), TE.sequenceSeqArray, TE.map((all) => known(header, merged(all))));
    },
  })),
);

/** The features to align with, where a trainer does. */
const encoderFeatures = (header: GoldenHeader, { alignLayer, encoderTokens }: Trainer, tensor: (name: string) => Numbers): { readonly inputs: Feeds; readonly sizes: Sizes } => {
  if (alignLayer === undefined) return { inputs: {}, sizes: {} };
  const [B = 0, all = 0, width = 0] = shapeOf(header, 'in.encoder_feature') ?? [], N = encoderTokens ?? all;
  return { inputs: { encoder_feature: firstTokens(tensor('in.encoder_feature'), B, all, N, width) }, sizes: { N } };
};
/** The first tokens of each image. */
const firstTokens = (values: Numbers, images: number, tokens: number, first: number, width: number): Float32Array =>
  Float32Array.from({ length: images * first * width }, (_, i) => values[Math.floor(i / (first * width)) * tokens * width + (i % (first * width))]!);

// the optimiser -----------------------------------------------------------------------------------------------------------------------

interface Adam { readonly lr: number; readonly betas: readonly [number, number]; readonly eps: number }
const adamwFor = ({ lr, betas: [beta1, beta2], eps }: Adam, weightDecay: number, emaDecay: number, clip: number | undefined) =>
  optimizerOf({ kind: 'adamw', beta1, beta2, epsilon: eps, weightDecay, emaDecay, ...(clip !== undefined && { clip }) }, () => lr);

const NORM = normGraph(1);
/** Zeros up to the end of the last row, which change no length. */
const inRows = (grad: Numbers): Float32Array => {
  const rows = new Float32Array(Math.ceil(grad.length / ROW) * ROW);
  rows.set(Array.from(grad));
  return rows;
};

/** Parameters end to end. */
interface Flat { readonly param: Numbers; readonly m: Numbers; readonly v: Numbers; readonly ema: Numbers }
const joined = (parts: readonly Numbers[]): Float32Array => Float32Array.from(parts.flatMap((part) => Array.from(part)));
const parted = (flat: Numbers, counts: readonly number[]): readonly Float32Array[] => {
  let at = 0;
  return counts.map((count) => Float32Array.from({ length: count }, () => flat[at++]!));
};
const zeros = (count: number): Float32Array => new Float32Array(count);

/** The norm of a gradient, and the step that it makes. */
const stepOf = <Failure>({ evaluate }: Sources<Failure>, optimizer: ReturnType<typeof adamwFor>, step: number, flat: Flat, grad: Numbers): TE.TaskEither<Failure, { readonly norm: Numbers; readonly flat: Flat }> => pipe(
  evaluate({ graph: NORM, sizes: normSizes([inRows(grad).length]), inputs: { grad0: inRows(grad) }, parameters: NO_WEIGHTS }),
  TE.chain(({ norm }) => {
    const hyper = optimizer.hyper(step);
    return pipe(
      evaluate({ graph: optimizer.graph, sizes: { n: grad.length, k: hyper.length }, inputs: { ...flat, grad, norm: norm!, hyper }, parameters: NO_WEIGHTS }),
      TE.map(({ param, m, v, ema }) => ({ norm: norm!, flat: { param: param!, m: m!, v: v!, ema: ema! } })),
    );
  }),
);

/** The optimiser by itself: gradients are given. */
export const optimizerRun = (header: GoldenHeader): E.Either<string, GoldenRun> => {
  const config = configOf(header) as unknown as Adam & { readonly weight_decay: number; readonly ema_decay: number; readonly clip?: number };
  const prefix = namesUnder(header, 'param.').length > 0 ? 'param.' : 'in.', names = namesUnder(header, prefix).filter((name) => /^p\d+$/.test(name)).sort();
  const counts = names.map((name) => elementsOf(shapeOf(header, `${prefix}${name}`)!)); // one of its names
  const steps = namesUnder(header, 'in.').flatMap((name) => /^step(\d+)\.grad0$/.exec(name)?.[1] ?? []).length;
  if (names.length === 0 || steps === 0) return E.left('there are no parameters, or no gradients in.step0.grad0 ...');
  if (!Array.isArray(config.betas)) return E.left('the config has no betas');
  return E.right({
    needsCheckpoint: false,
    run: <Failure>(sources: Sources<Failure>) => {
      const { tensor } = sources, optimizer = adamwFor(config, config.weight_decay, config.ema_decay, config.clip);
      const param = joined(names.map((name) => tensor(`${prefix}${name}`))), start: Flat = { param, ema: param, m: zeros(param.length), v: zeros(param.length) };
      const walk = (k: number, flat: Flat, found: Feeds): TE.TaskEither<Failure, Feeds> => k === steps ? TE.right(known(header, found)) : pipe(
        stepOf(sources, optimizer, k + 1, flat, joined(names.map((_, i) => tensor(`in.step${k}.grad${i}`)))),
        TE.chain(({ norm, flat: next }) => {
          const parts = { p: parted(next.param, counts), exp_avg: parted(next.m, counts), exp_avg_sq: parted(next.v, counts), ema: parted(next.ema, counts) };
          const values = Object.fromEntries(Object.entries(parts).flatMap(([name, each]) => each.map((part, i) => [`${name}${i}`, part] as const)));
          return walk(k + 1, next, { ...found, ...both(`step${k}.`, { grad_norm: norm, ...values }) });
        }),
      );
      return walk(0, start, {});
    },
  });
};

/** Several steps on one batch, with gradients of the model. */
export const trainingStepsRun = (header: GoldenHeader): E.Either<string, GoldenRun> => pipe(
  E.Do,
  E.bind('config', () => configIn(header)),
  E.bind('sizes', ({ config }) => sizesIn(header, config)),
  E.bind('trainer', ({ config }) => alignable(header, config)(trainerOf(objectIn(header, 'trainer')))),
  E.map(({ config, sizes, trainer }): GoldenRun => {
    const graph = withGradients(lossGraph(config, trainer)), names = graph.parameters.map(inputName), adam = objectIn(header, 'optimizer') as unknown as Adam;
    const counts = names.map((name) => elementsOf(shapeOf(header, `param.${name}`) ?? [])), emaDecay = Number(header.metadata['ema_decay']);
    const steps = namesUnder(header, 'in.').filter((name) => /^step\d+\.noise$/.test(name)).length;
    const runOf = <Failure>(sources: Sources<Failure>, fields: Fields): TE.TaskEither<Failure, Feeds> => {
      const { evaluate, tensor } = sources, name = String(fields['name']), features = encoderFeatures(header, trainer, tensor);
      const optimizer = adamwFor(adam, Number(fields['weight_decay'] ?? 0), emaDecay, fields['clip'] === undefined ? undefined : Number(fields['clip']));
      const param = joined(names.map((each) => tensor(`param.${each}`)));
      const walk = (k: number, flat: Flat, losses: readonly number[], norms: readonly number[]): TE.TaskEither<Failure, Feeds> => {
        const own = (flatPart: Numbers): Feeds => Object.fromEntries(parted(flatPart, counts).map((part, i) => [names[i]!, part]));
        if (k === steps) {
          const prefixed = (kind: string, values: Feeds): Feeds => Object.fromEntries(Object.entries(values).map(([each, value]) => [`${kind}.${each}`, value]));
          return TE.right(both(`${name}.`, { losses: Float64Array.from(losses), grad_norms: Float64Array.from(norms), ...prefixed('param', own(flat.param)), ...prefixed('ema', own(flat.ema)) }));
        }
        const t = timesOf(trainer, tensor(`in.step${k}.t_raw`)), y = labelsOf(trainer, tensor, tensor(`in.step${k}.rand_mask`));
        return pipe(
          evaluate({ graph, sizes: { ...sizes, ...features.sizes }, inputs: { x: tensor('in.x'), noise: tensor(`in.step${k}.noise`), t, y, ...features.inputs }, parameters: own(flat.param) }),
          TE.chain((values) => pipe(
            stepOf(sources, optimizer, k + 1, flat, joined(names.map((each) => values[gradientName(each)]!))),
            TE.chain(({ norm, flat: next }) => walk(k + 1, next, [...losses, values['loss']![0]!], [...norms, norm[0]!])),
          )),
        );
      };
      return walk(0, { param, ema: param, m: zeros(param.length), v: zeros(param.length) }, [], []);
    };
    return {
      needsCheckpoint: false,
      run: (sources) => pipe(listIn(header, 'runs').map((fields) => runOf(sources, fields)), TE.sequenceSeqArray, TE.map((all) => known(header, merged(all)))),
    };
  }),
);

