/**
 * A model of one's own, and training it: a transformer reads noisy patches, and one of two decoders paints the pixels. The one is PixNerd's
 * neural field, whose weights are made for each patch; the other a plain linear layer. Both are trained on drawn discs and stripes by
 * the same few lines; the decoder is one argument, and a decoder of the wrong shape does not compile.
 *
 *   B batch   h x w patches of P x Q pixels   D width of a token   X width of a pixel's features
 */
import { ok } from 'node:assert/strict';
import * as TE from 'fp-ts/TaskEither';
import {
  add, applied, concat, drawBatch, flowMatchingLoss, input, layers, learningRateOf, makeGraph, module, nerfBlock, normal, openBackend, openTrainer, optimizerOf, parameters,
  parametersOf, rearrange, reshape, silu, type T, unsqueeze,
} from 'pixnerd';

type Image = T<['B', 1, 'P*h', 'Q*w']>;
type Tokens = T<['B', 'h*w', 'D']>;
type Decoder = (tokens: Tokens, image: Image) => Image;

const patchesOf = (image: Image) => rearrange(image, 'b c (h p) (w q) -> (b h w) (p q) c', { p: 'P', q: 'Q' });
const imageOf = (pixels: T<['B*h*w', 'P*Q', 1]>): Image => rearrange(pixels, '(b h w) (p q) c -> b c (h p) (w q)', { h: 'h', w: 'w', p: 'P', q: 'Q' });

/** Each token emits the weights of a small network, which paints its patch from the noisy pixels. */
const neuralField = module({ enter: layers.linear(1, 'X'), field: nerfBlock, leave: layers.linear('X', 1) }, (p): Decoder => (tokens, image) =>
  imageOf(p.leave(p.field(p.enter(patchesOf(image)), reshape(tokens, ['B*h*w', 'D'])))));

/** Each token says its pixels outright. */
const linearHead = module({ head: layers.linear('D', 'P*Q') }, (p): Decoder => (tokens) => imageOf(reshape(p.head(tokens), ['B*h*w', 'P*Q', 1])));

/** Patches, time and class mixed by two layers: no attention, so that the example is quick. */
const trunk = module(
  { patch: layers.linear('P*Q', 'D'), time: layers.linear(2, 'D'), label: layers.embedding('V', 'D'), first: layers.linear('D', '2*D'), second: layers.linear('2*D', 'D') },
  (p) => (x: Image, t: T<['B']>, y: T<['B'], 'i32'>): Tokens => {
    const patches = p.patch(reshape(patchesOf(x), ['B', 'h*w', 'P*Q'])), when = unsqueeze(t, 1);
    const z = add(patches, unsqueeze(add(p.time(concat([when, silu(when)], 1)), p.label(y)), 1));
    return add(z, p.second(silu(p.first(z))));
  },
);
const modelWith = (decoder: typeof neuralField | typeof linearHead) => module({ trunk, decoder }, (p) => (x: Image, t: T<['B']>, y: T<['B'], 'i32'>): Image => p.decoder(p.trunk(x, t, y), x));

const sizes = { B: 16, h: 4, w: 4, P: 4, Q: 4, D: 32, X: 8, R: 2, V: 3 };

/** A disc (class 0) or stripes (class 1), somewhere. */
const drawing = (label: number, i: number): number[] => {
  const [x0, y0] = [5 + (i * 7) % 7, 5 + (i * 5) % 7];
  return Array.from({ length: 256 }, (_, place) => {
    const [x, y] = [place % 16, Math.floor(place / 16)];
    return (label === 0 ? Math.hypot(x - x0, y - y0) < 4 : (x + i) % 6 < 3) ? 1 : -1;
  });
};
const batchOf = (step: number) => {
  const labels = Array.from({ length: sizes.B }, (_, i) => i % 2);
  return { x: Float32Array.from(labels.flatMap((label, i) => drawing(label, step * sizes.B + i))), ...drawBatch({ seed: 1, time: 'lognormal', labelDrop: 0.1 }, 2, step, 0, labels) };
};

const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

const backend = await orThrow(openBackend('wgsl'));
const STEPS = 120;

const train = async (name: string, model: ReturnType<typeof modelWith>): Promise<number> => {
  const x = input('x', ['B', 1, 'P*h', 'Q*w']), [t, y, keys] = [input('t', ['B']), input('y', ['B'], 'i32'), input('keys', ['B', 2], 'u32')];
  const network = applied(model, parametersOf(model));
  const { loss } = flowMatchingLoss(network)(x, normal(keys, ['B', 1, 'P*h', 'Q*w']), t, y);
  const shapes = Object.fromEntries(parameters(model, sizes)) as Record<string, number[]>; // every symbol has a size
  const scale = (shape: readonly number[]): number => 1 / Math.sqrt(shape.at(-1)!);
  const first = Object.fromEntries(Object.entries(shapes).map(([key, shape], k) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return [key, Float32Array.from({ length: count }, (_, i) => (key.includes('norm') ? 1 : shape.length === 1 ? 0 : scale(shape) * Math.sin(12.9898 * (i + 1) + 78.233 * k) * 1.4))];
  }));
  const optimizer = optimizerOf({ kind: 'adamw', emaDecay: 0.95, clip: 1 }, learningRateOf({ kind: 'cosine', peak: 4e-3, warmup: 10, steps: STEPS }));
  const trainer = await orThrow(openTrainer(backend, { graph: makeGraph({ loss }, [x, t, y, keys]), sizes, shapes, optimizer, state: { step: 0, parameters: first, ema: first, moments: {} } }));
  for (let step = 0; step < STEPS; step++) await orThrow(trainer.step([batchOf(step)]));
  const reports = await orThrow(trainer.report());
  trainer.dispose();
  const mean = (from: number) => reports.slice(from, from + 10).reduce((sum, { loss: each }) => sum + each / 10, 0);
  const count = Object.values(first).reduce((sum, { length }) => sum + length, 0);
  console.log(`${name.padEnd(12)} ${String(count).padStart(6)} parameters   loss ${mean(0).toFixed(3)} -> ${mean(STEPS - 10).toFixed(3)} after ${STEPS} steps`);
  ok(mean(STEPS - 10) < 0.6 * mean(0), `${name} learns`);
  return mean(STEPS - 10);
};

await train('neural field', modelWith(neuralField));
await train('linear head', modelWith(linearHead));
backend.close();
