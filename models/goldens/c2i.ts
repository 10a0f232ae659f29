/** Goldens of the whole class model: forwards, full-size recipes, checkpoints, and samplers that drive it. */
import * as E from 'fp-ts/Either';
import { pipe } from 'fp-ts/function';
import * as TE from 'fp-ts/TaskEither';
import { withTaps, type Graph, type Sizes } from '../../dsl/graph/graph.ts';
import { configMistakes, nullClass, sizesOf, type C2iConfig } from '../pixnerd/config.ts';
import { decoderGraph, parameterShapes, velocityGraph } from '../pixnerd/graph.ts';
import { recipeTensor } from '../recipe.ts';
import {
  configOf, dataUnder, elementsOf, namesUnder, shapeOf, type Feeds, type GoldenHeader, type GoldenRun, type Numbers, type Sources,
} from './golden.ts';
import { runCases, samplerCases, type Field } from './samplers.ts';

/** The configuration that the file names, without mistakes. */
const c2iConfigOf = (header: GoldenHeader): E.Either<string, C2iConfig> => {
  const config = configOf(header) as unknown as C2iConfig; // checked in the next line
  const mistakes = configMistakes(config);
  return mistakes.length === 0 ? E.right(config) : E.left(mistakes.join('; '));
};

const sizesFor = (config: C2iConfig, [batch = NaN, , height = NaN, width = NaN]: readonly number[]): E.Either<string, Sizes> =>
  E.mapLeft((mistakes: readonly string[]) => mistakes.join('; '))(sizesOf(config, { batch, height, width }));

/** Feeds under other names. */
const renamed = (feeds: Feeds, name: (name: string) => string): Feeds =>
  Object.fromEntries(Object.entries(feeds).map(([key, value]) => [name(key), value]));

const merged = <Failure>(parts: readonly TE.TaskEither<Failure, Feeds>[]): TE.TaskEither<Failure, Feeds> =>
  TE.map((all: readonly Feeds[]): Feeds => Object.assign({}, ...all) as Feeds)(TE.sequenceSeqArray(parts)); // each part is Feeds

const hasMids = (header: GoldenHeader): boolean => namesUnder(header, 'mid.').length > 0;

/** `out.x` by the program as shipped, `mid.` by one with taps, `out.x_given_s` by the decoder alone. */
export const forwardRun = (header: GoldenHeader): E.Either<string, GoldenRun> => pipe(
  c2iConfigOf(header),
  E.chain((config) => E.map((sizes: Sizes) => ({ config, sizes }))(sizesFor(config, shapeOf(header, 'in.x') ?? []))),
  E.map(({ config, sizes }): GoldenRun => {
    const shipped = velocityGraph(config);
    const graphs = { shipped, tapped: withTaps(shipped), decoder: decoderGraph(config) };
    return {
      needsCheckpoint: false,
      run: <Failure>({ evaluate, tensor }: Sources<Failure>) => {
        const parameters = dataUnder(header, 'param.', tensor);
        const inputs = dataUnder(header, 'in.', tensor);
        const call = (graph: Graph) => evaluate({ graph, sizes, inputs, parameters });
        const outputs = (name: string) => TE.map((values: Feeds): Feeds => ({ [`out.${name}`]: values['v']!, [`out64.${name}`]: values['v']! }));
        return merged<Failure>([
          pipe(call(graphs.shipped), outputs('x')),
          ...(hasMids(header) ? [pipe(call(graphs.tapped), TE.map(({ v: _, ...taps }) => renamed(taps, (name) => `mid.${name}`)))] : []),
          ...('in.s' in header.tensors ? [pipe(call(graphs.decoder), outputs('x_given_s'))] : []),
        ]);
      },
    };
  }),
);

// full size ---------------------------------------------------------------------------------------------------------------------------

/** What the recipe's files call the taps. */
const FULL_NAMES: Readonly<Record<string, string>> = {
  t_embed: 't_embedder', y_embed: 'y_embedder', s_embed: 's_embedder', x_embed: 'x_embedder', final: 'final_layer',
};

/** The part of an activation that the file holds: the rows of one token. */
const tokenOf = (values: Numbers, size: number, token: number): Numbers =>
  values.length === size ? values : Array.from(values).slice(token * size, (token + 1) * size);

/** The window of the image that `out64.x_slice` holds, from the notes: `[:, :, 96:128, 96:128]`. */
const windowOf = (header: GoldenHeader, image: Numbers, [, channels = 1, height = 1, width = 1]: readonly number[]): Numbers => {
  const [top = 96, bottom = 128, left = 96, right = 128] =
    (/\[:, :, (\d+):(\d+), (\d+):(\d+)\]/.exec(header.metadata['notes'] ?? '') ?? []).slice(1).map(Number);
  const values: number[] = [];
  for (let c = 0; c < channels; c++) {
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) values.push(image[(c * height + y) * width + x]!);
  }
  return values;
};

/** Weights that are made when they are asked for, and not kept: a full-size model has gigabytes of them. */
const recipeFeeds = (shapes: Readonly<Record<string, readonly number[]>>): Feeds => {
  const made = Object.entries(shapes).map(([key, shape]) => [key, { enumerable: true, get: () => recipeTensor(key, shape) }] as const);
  return Object.defineProperties({}, Object.fromEntries(made)); // every property is a getter of numbers
};

/** Weights and image come from the integer hash; taps are compared at one token. */
export const fullSizeRun = (header: GoldenHeader): E.Either<string, GoldenRun> => {
  const { H, W, t, y, token } = Object.fromEntries(['H', 'W', 't', 'y', 'token'].map((name) => [name, Number(header.metadata[name])])) as
    Record<'H' | 'W' | 't' | 'y' | 'token', number>; // the five keys just listed
  return pipe(
    c2iConfigOf(header),
    E.chain((config) => E.map((sizes: Sizes) => ({ config, sizes }))(sizesFor(config, [1, config.in_channels, H, W]))),
    E.map(({ config, sizes }): GoldenRun => {
      const shape = [1, config.in_channels, H, W];
      const shipped = velocityGraph(config);
      const tapped = withTaps(shipped);
      const parameters = recipeFeeds(parameterShapes(config));
      return {
        needsCheckpoint: false,
        run: <Failure>({ evaluate }: Sources<Failure>) => {
          const inputs: Feeds = { x: recipeTensor('in.x', shape), t: [Math.fround(t)], y: [y] };
          const call = (graph: Graph) => evaluate({ graph, sizes, inputs, parameters });
          const mids = ({ v: _, ...taps }: Feeds): Feeds => Object.fromEntries(Object.entries(taps).flatMap(([name, values]) => {
            const key = `mid.${FULL_NAMES[name] ?? name}`;
            const held = shapeOf(header, key);
            return held === undefined ? [] : [[key, tokenOf(values, elementsOf(held), token)]];
          }));
          return merged<Failure>([
            pipe(call(shipped), TE.map(({ v }): Feeds => ({ 'out.x': v!, 'out64.x': v!, 'out64.x_slice': windowOf(header, v!, shape) }))),
            ...(hasMids(header) ? [pipe(call(tapped), TE.map(mids))] : []),
          ]);
        },
      };
    }),
  );
};

// checkpoints -------------------------------------------------------------------------------------------------------------------------

/** `out.ema` and `out.denoiser` by the checkpoint's weights, and `param.`: the ema weights as they were read. */
export const checkpointRun = (header: GoldenHeader): E.Either<string, GoldenRun> => pipe(
  c2iConfigOf(header),
  E.chain((config) => E.map((sizes: Sizes) => ({ config, sizes }))(sizesFor(config, shapeOf(header, 'in.x') ?? []))),
  E.map(({ config, sizes }): GoldenRun => {
    const graph = velocityGraph(config);
    return {
      needsCheckpoint: true,
      run: <Failure>({ evaluate, tensor, weights }: Sources<Failure>) => {
        const inputs = dataUnder(header, 'in.', tensor);
        const output = (set: 'ema' | 'denoiser') => pipe(
          weights(set),
          TE.chain((parameters) => evaluate({ graph, sizes, inputs, parameters })),
          TE.map(({ v }): Feeds => ({ [`out.${set}`]: v!, [`out64.${set}`]: v! })),
        );
        const sets = (['ema', 'denoiser'] as const).filter((set) => `out.${set}` in header.tensors || `out64.${set}` in header.tensors);
        const read = TE.map((parameters: Feeds) => renamed(parameters, (name) => `param.${name}`))(weights('ema'));
        return merged<Failure>([...(namesUnder(header, 'param.').length > 0 ? [read] : []), ...sets.map(output)]);
      },
    };
  }),
);

// samplers ----------------------------------------------------------------------------------------------------------------------------

/** Samplers driving the model, its weights in the file or in the checkpoint that the metadata names. */
export const modelSamplerRun = (header: GoldenHeader): E.Either<string, GoldenRun> => {
  const noise = shapeOf(header, 'in.noise') ?? [];
  const needsCheckpoint = header.metadata['checkpoint'] !== undefined;
  return pipe(
    c2iConfigOf(header),
    E.chain((config) => E.map((sizes: Sizes) => ({ config, sizes }))(sizesFor(config, noise))),
    E.chain(({ config, sizes }) => E.map((cases: Parameters<typeof runCases>[1]) => ({ config, sizes, cases }))(samplerCases(header))),
    E.map(({ config, sizes, cases }): GoldenRun => {
      const graph = velocityGraph(config);
      const none = header.metadata['null_class'] === undefined ? nullClass(config) : Number(header.metadata['null_class']);
      const field = <Failure>({ evaluate }: Sources<Failure>, parameters: Feeds): Field<Failure> => (x, t, y) => pipe(
        evaluate({ graph, sizes: { ...sizes, B: y.length }, inputs: { x, t: y.map(() => t), y }, parameters }),
        TE.map((outputs) => outputs['v']!),
      );
      return {
        needsCheckpoint,
        run: (sources) => pipe(
          needsCheckpoint ? sources.weights('ema') : TE.right(dataUnder(header, 'param.', sources.tensor)),
          TE.chain((parameters) => runCases(header, cases, none, field(sources, parameters), sources)),
        ),
      };
    }),
  );
};
