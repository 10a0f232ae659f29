/**
 * Neural field against linear head: the same transformer, patches of 4, 8 and 16, equal parameters and steps, on drawn shapes of 32 x 32.
 *
 *     npm run compare-decoders -- [--steps 400] [--out docs/decoders]
 *
 * Writes a table (Markdown) and a figure (SVG). Everything is drawn from counters, so a run can be repeated.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { add, applied, input, layers, makeGraph, module, normal, parameters, parametersOf, repeat, reshape, silu, type T, unsqueeze } from '../src/index.ts';
import { labelEmbedder, patchEmbedder, pixelEmbedder, timestepEmbedder } from '../models/pixnerd/embedders.ts';
import { finalLayer, nerfBlock } from '../models/pixnerd/nerf.ts';
import { imageOf, pixelsOf, tokensOf } from '../models/pixnerd/patch.ts';
import type { Image } from '../models/pixnerd/pixnerd.ts';
import { ropeTable, UNIT_GRID } from '../models/pixnerd/rope.ts';
import { transformerBlock } from '../models/pixnerd/transformer.ts';
import { sizesOf } from '../models/pixnerd/config.ts';
import { drawBatch } from '../models/training/draws.ts';
import { flowMatchingLoss } from '../models/training/loss.ts';
import { optimizerOf } from '../models/training/optimizer.ts';
import { learningRateOf } from '../models/training/schedule.ts';
import { philoxNormals } from '../models/noise/philox.ts';
import type { Backend } from '../src/backend/backend.ts';
import { openBackend } from '../src/backend/open.ts';
import { openTrainer } from '../src/training/trainer.ts';

const { values } = parseArgs({ options: { steps: { type: 'string', default: '400' }, batch: { type: 'string', default: '32' }, out: { type: 'string', default: 'docs/decoders' } } });
const [STEPS, BATCH, SIZE, CLASSES] = [Number(values.steps), Number(values.batch), 32, 4];
const config = { in_channels: 1, num_groups: 2, hidden_size: 64, hidden_size_x: 16, num_blocks: 4, num_cond_blocks: 2, nerf_mlpratio: 2, num_classes: CLASSES };

const right = async <A>(task: TaskEither<{ readonly message: string }, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};

// models --------------------------------------------------------------------------------------------------------------------------------

type Conditions = T<['B*h*w', 'D']>;
const trunk = { s_embedder: patchEmbedder, t_embedder: timestepEmbedder(), y_embedder: labelEmbedder, blocks: repeat(config.num_cond_blocks, transformerBlock) };
/** The head's inner width is the symbol I. */
const linearHead = module({ first: layers.linear('D', 'I'), second: layers.linear('I', 'C*P*Q') }, (p) => (s: Conditions) => reshape(p.second(silu(p.first(s))), ['B', 'h*w', 'C*P*Q']));
const field = module({ x_embedder: pixelEmbedder, blocks: repeat(config.num_blocks - config.num_cond_blocks, nerfBlock), final_layer: finalLayer },
  (p) => (s: Conditions, patches: T<['B', 'h*w', 'C*P*Q']>) => p.final_layer(p.blocks.reduce((z, block) => block(z, s), p.x_embedder(pixelsOf(patches)))));

type Velocity = (x: Image, t: T<['B']>, y: T<['B'], 'i32'>) => Image;
const withHead = module({ ...trunk, decoder: linearHead }, (p): Velocity => (x, t, y) => imageOf(pixelsOf(p.decoder(conditions(p, tokensOf(x), t, y)))));
const withField = module({ ...trunk, decoder: field }, (p): Velocity => (x, t, y) => imageOf(p.decoder(conditions(p, tokensOf(x), t, y), tokensOf(x))));

interface Trunk {
  readonly s_embedder: (patches: T<['B', 'h*w', 'C*P*Q']>) => T<['B', 'h*w', 'D']>;
  readonly t_embedder: (t: T<['B']>) => T<['B', 'D']>;
  readonly y_embedder: (y: T<['B'], 'i32'>) => T<['B', 'D']>;
  readonly blocks: readonly ((x: T<['B', 'h*w', 'D']>, c: T<['B', 1, 'D']>, table: ReturnType<typeof ropeTable>) => T<['B', 'h*w', 'D']>)[];
}
/** What the transformer says of each patch, as in PixNerd. */
const conditions = (p: Trunk, patches: T<['B', 'h*w', 'C*P*Q']>, t: T<['B']>, y: T<['B'], 'i32'>): Conditions => {
  const time = p.t_embedder(t), c = unsqueeze(silu(add(time, p.y_embedder(y))), 1), table = ropeTable(UNIT_GRID);
  const s = p.blocks.reduce((tokens, block) => block(tokens, c, table), p.s_embedder(patches));
  return reshape(silu(add(unsqueeze(time, 1), s)), ['B*h*w', 'D']);
};

// data ----------------------------------------------------------------------------------------------------------------------------------

/** A disc, a ring, a square or stripes, with a soft edge, somewhere in the image. */
const drawing = (index: number): { readonly label: number; readonly pixels: readonly number[] } => {
  const [a, b, c, d] = philoxNormals(5, index, 0, 4), label = index % CLASSES, [x0, y0, r] = [16 + 4 * a!, 16 + 4 * b!, 6 + 1.5 * Math.tanh(c!)], turn = d! * 3;
  const edge = (distance: number): number => Math.tanh(-1.5 * distance);
  return { label, pixels: Array.from({ length: SIZE * SIZE }, (_, i) => {
    const [x, y] = [(i % SIZE) - x0, Math.floor(i / SIZE) - y0], [u, v] = [x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn)];
    return label === 0 ? edge(Math.hypot(x, y) - r) : label === 1 ? edge(Math.abs(Math.hypot(x, y) - r) - 2) : label === 2 ? edge(Math.max(Math.abs(u), Math.abs(v)) - r) : Math.sin(u * (0.5 + 0.1 * Math.tanh(c!)));
  }) };
};
const batchOf = (step: number, seed: number, first: number) => {
  const drawn = Array.from({ length: BATCH }, (_, i) => drawing(first + step * BATCH + i));
  return { x: Float32Array.from(drawn.flatMap(({ pixels }) => pixels)), ...drawBatch({ seed, time: 'lognormal', labelDrop: 0.1 }, CLASSES, step, 0, drawn.map(({ label }) => label)) };
};
const [HELD_OUT, HELD_OUT_BATCHES] = [1e6, 16];

// runs ----------------------------------------------------------------------------------------------------------------------------------

interface Result { readonly patch: number; readonly decoder: string; readonly parameters: number; readonly loss: number; readonly secondsAStep: number; readonly curve: readonly number[] }

const count = (shapes: Readonly<Record<string, readonly number[]>>): number => Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
/** Uniform by the width of the input, as torch begins; zeros for modulations and the last layer. */
const firstWeights = (shapes: Readonly<Record<string, readonly number[]>>) => Object.fromEntries(Object.entries(shapes).map(([name, shape], k) => {
  const size = shape.reduce((a, b) => a * b, 1), last = /adaLN|final_layer\.linear|decoder\.second/.test(name), scale = 1 / Math.sqrt(shape.length > 1 ? shape.at(-1)! : (shapes[name.replace(/bias$/, 'weight')] ?? [1]).at(-1)!);
  const normals = philoxNormals(9, k, 0, size);
  return [name, /norm/.test(name) ? new Float32Array(size).fill(1) : last ? new Float32Array(size) : normals.map((z) => z * scale * 0.577)];
}));

const run = async (backend: Backend, patch: number, decoder: 'field' | 'head', inner: number): Promise<Result> => {
  const bound = sizesOf({ ...config, patch_size: patch }, { batch: BATCH, height: SIZE, width: SIZE });
  if (E.isLeft(bound)) throw new Error(bound.left.join());
  const model = decoder === 'field' ? withField : withHead, sizes = { ...bound.right, I: inner }, shapes = Object.fromEntries(parameters(model, sizes)) as Record<string, number[]>; // every symbol has a size
  const [x, t, y, keys] = [input('x', ['B', 'C', 'P*h', 'Q*w']), input('t', ['B']), input('y', ['B'], 'i32'), input('keys', ['B', 2], 'u32')];
  const network = decoder === 'field' ? applied(withField, parametersOf(withField)) : applied(withHead, parametersOf(withHead));
  const graph = makeGraph({ loss: flowMatchingLoss(network)(x, normal(keys, ['B', 'C', 'P*h', 'Q*w']), t, y).loss }, [x, t, y, keys]);
  const optimizer = optimizerOf({ kind: 'adamw', weightDecay: 0, emaDecay: 0.99, clip: 1 }, learningRateOf({ kind: 'cosine', peak: 2e-3, warmup: 20, steps: STEPS, floor: 0.05 }));
  const parameterValues = firstWeights(shapes);
  const trainer = await right(openTrainer(backend, { graph, sizes, shapes, optimizer, state: { step: 0, parameters: parameterValues, ema: parameterValues, moments: {} } }));
  const began = performance.now();
  for (let step = 0; step < STEPS; step++) await right(trainer.step([batchOf(step, 1, 0)]));
  const curve = (await right(trainer.report())).map(({ loss }) => loss), secondsAStep = (performance.now() - began) / 1000 / STEPS;
  const judge = await right(backend.load({ graph, sizes, name: 'held-out loss', parameters: trainer.tensors('ema') }));
  let loss = 0;
  for (let k = 0; k < HELD_OUT_BATCHES; k++) {
    const { loss: each } = await right(judge.run(batchOf(k, 2, HELD_OUT)));
    loss += (await right(each!.read()))[0]! / HELD_OUT_BATCHES;
  }
  judge.dispose();
  trainer.dispose();
  return { patch, decoder: decoder === 'field' ? 'neural field' : 'linear head', parameters: count(shapes), loss, secondsAStep, curve };
};

/** The inner width that gives the linear head as many parameters as the field has. */
const innerFor = (patch: number): number => {
  const bound = sizesOf({ ...config, patch_size: patch }, { batch: 1, height: SIZE, width: SIZE });
  if (E.isLeft(bound)) throw new Error(bound.left.join());
  const own = count(Object.fromEntries(parameters(field, bound.right)) as Record<string, number[]>), pixels = patch * patch;
  return Math.round((own - pixels) / (config.hidden_size + pixels + 1));
};

// what is written -------------------------------------------------------------------------------------------------------------------

const figure = (results: readonly Result[]): string => {
  const [width, height, left, bottom] = [640, 320, 50, 40], top = Math.max(...results.map(({ loss }) => loss)) * 1.15, groups = [...new Set(results.map(({ patch }) => patch))];
  const at = (value: number): number => height - bottom - (value / top) * (height - bottom - 30), band = (width - left - 20) / groups.length;
  const bars = results.map(({ patch, decoder, loss }) => {
    const x = left + groups.indexOf(patch) * band + band * (decoder === 'neural field' ? 0.16 : 0.52), colour = decoder === 'neural field' ? '#2563eb' : '#94a3b8';
    return `<rect x="${x.toFixed(1)}" y="${at(loss).toFixed(1)}" width="${(band * 0.32).toFixed(1)}" height="${(height - bottom - at(loss)).toFixed(1)}" fill="${colour}"/><text x="${(x + band * 0.16).toFixed(1)}" y="${(at(loss) - 6).toFixed(1)}" text-anchor="middle">${loss.toFixed(4)}</text>`;
  });
  const names = groups.map((patch, i) => `<text x="${(left + (i + 0.5) * band).toFixed(1)}" y="${height - 14}" text-anchor="middle">patch ${patch}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#0f172a"><rect width="${width}" height="${height}" fill="white"/>
<text x="${left}" y="18" font-weight="600">Held-out flow-matching loss after ${STEPS} steps (lower is better)</text><line x1="${left}" x2="${width - 20}" y1="${height - bottom}" y2="${height - bottom}" stroke="#cbd5e1"/>
${[...bars, ...names].join('\n')}
<rect x="${width - 230}" y="28" width="12" height="12" fill="#2563eb"/><text x="${width - 213}" y="39">neural field</text><rect x="${width - 120}" y="28" width="12" height="12" fill="#94a3b8"/><text x="${width - 103}" y="39">linear head</text></svg>
`;
};

const backend = await right(openBackend('auto'));
console.error(backend.notice);
const results: Result[] = [];
for (const patch of [4, 8, 16]) {
  for (const decoder of ['field', 'head'] as const) {
    const result = await run(backend, patch, decoder, innerFor(patch));
    results.push(result);
    console.error(`patch ${patch}, ${result.decoder}: loss ${result.loss.toFixed(4)}, ${result.secondsAStep.toFixed(2)} s a step`);
  }
}
const table = ['| patch | decoder | parameters | held-out loss | seconds a step |', '|--:|---|--:|--:|--:|',
  ...results.map(({ patch, decoder, parameters: own, loss, secondsAStep }) => `| ${patch} | ${decoder} | ${own} | ${loss.toFixed(4)} | ${secondsAStep.toFixed(2)} |`)].join('\n');
mkdirSync(values.out, { recursive: true });
writeFileSync(`${values.out}/table.md`, `${table}\n\nDevice: ${backend.adapter}. Command: \`npm run compare-decoders -- --steps ${STEPS} --batch ${BATCH}\`.\n`);
writeFileSync(`${values.out}/losses.svg`, figure(results));
writeFileSync(`${values.out}/curves.json`, JSON.stringify(results.map(({ curve, ...rest }) => ({ ...rest, curve: curve.filter((_, i) => i % 10 === 9).map((loss) => Number(loss.toFixed(4))) }))));
console.log(table);
backend.close();
