/**
 * Samples images and writes them as they come: the work behind `sample` and `demo`.
 *
 * Invariant: files appear whole or not at all; only the images of a sheet or an animation are held, never those of an archive.
 */
import { resolve } from 'node:path';
import type { SamplerPlan } from '../../models/sampling/plan.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import type { Backend } from '../backend/backend.ts';
import { checkWritable } from '../files/atomic.ts';
import { toUint8 } from '../../models/pixels/uint8.ts';
import { contactSheet, enlarged, interleave, type Picture, pictureOf } from '../files/picture.ts';
import { writeGif, writeNpz, writePng } from '../files/write.ts';
import type { C2iModel } from '../sampling/model.ts';
import { sample, type SampledImage } from '../sampling/sample.ts';
import type { Terminal } from './command.ts';
import { orStop, settle, stopAt } from './failure.ts';
import { makeProgress } from './progress.ts';

/** The files that are wanted. */
export interface Outputs {
  readonly png?: string | undefined;
  readonly gif?: string | undefined;
  readonly npz?: string | undefined;
  /** How many pixels wide a pixel becomes, in pictures. */
  readonly scale: number;
}

export interface RenderRequest {
  readonly backend: Backend;
  readonly model: C2iModel;
  readonly plan: SamplerPlan;
  readonly size: ImageSize;
  readonly seed: bigint;
  readonly labels: readonly number[];
  readonly first: number;
  readonly end: number;
  /** Undefined: what suits the adapter. */
  readonly batch: number | undefined;
  readonly outputs: Outputs;
}

/** A sheet holds its images in memory and must be looked at; an archive does not. */
const MOST_PIXELS = 50_000_000;
/** Images of an animation; the first ones are shown. */
const MOST_ANIMATED = 64;

const EXTENSIONS = { png: /\.png$/i, gif: /\.gif$/i, npz: /\.npz$/i } as const;
const OPTION_OF = { png: '--out', gif: '--gif', npz: '--npz' } as const;
const KINDS = ['png', 'gif', 'npz'] as const;

/** Everything that is wrong with the files that are asked for, without writing any. */
export const outputMistakes = async (outputs: Outputs, channels: number, size: ImageSize, count: number): Promise<readonly string[]> => {
  const named = KINDS.flatMap((kind) => (outputs[kind] === undefined ? [] : [{ kind, path: outputs[kind] }]));
  if (named.length === 0) return ['no output is asked for: give --out FILE.png, --gif FILE.gif or --npz FILE.npz'];
  const pixels = count * size.height * size.width * outputs.scale ** 2;
  const writable = await Promise.all(
    named.map(async ({ path }) => {
      const checked = await checkWritable(path)();
      return checked._tag === 'Left' ? [checked.left.message] : [];
    }),
  );
  return [
    ...named
      .filter(({ kind, path }) => !EXTENSIONS[kind].test(path) && !path.startsWith('/dev/'))
      .map(({ kind, path }) => `${OPTION_OF[kind]} ${path}: this writes ${kind.toUpperCase()}, so the name should end in .${kind}`),
    ...(new Set(named.map(({ path }) => resolve(path))).size < named.length ? ['two outputs have the same name'] : []),
    ...(outputs.png !== undefined && pixels > MOST_PIXELS
      ? [`--out: a picture of ${pixels} pixels is too large to look at; use --npz for many or large images`]
      : []),
    ...((outputs.png ?? outputs.gif) !== undefined && channels !== 1 && channels !== 3
      ? [`pictures have 1 or 3 channels, this model has ${channels}; use --npz`]
      : []),
    ...writable.flat(),
  ];
};

/** Images at once that keep an adapter busy, by the number of tokens. */
export const suitableBatch = ({ name, notice }: Backend, tokens: number): number => {
  const busy = name === 'reference' ? 64 : name === 'wasm' ? 512 : /software/.test(notice) ? 1024 : 4096;
  return Math.max(1, Math.min(64, Math.floor(busy / tokens)));
};

/** Columns of a sheet: nearly square, a little wider where that leaves fewer cells empty. */
export const sheetColumns = (count: number): number => {
  const least = Math.ceil(Math.sqrt(count));
  const candidates = Array.from({ length: Math.floor(least / 4) + 1 }, (_, i) => least + i);
  const empty = (columns: number): number => Math.ceil(count / columns) * columns - count;
  return candidates.reduce((best, columns) => (empty(columns) < empty(best) ? columns : best), least);
};

/** What pictures are made of, while images stream by. */
const makeAlbum = ({
  model: {
    config: { in_channels },
  },
  size: { height, width },
  outputs: { png, gif, scale },
}: RenderRequest) => {
  const pictures: Picture[] = [];
  const ways: (readonly Picture[])[] = [];
  const arranged = (images: readonly Picture[]): Picture => contactSheet(images, { columns: sheetColumns(images.length) });
  const toPicture = (values: Float32Array): Picture => pictureOf(values, in_channels, height, width);
  return {
    add: ({ values, trajectory }: SampledImage): void => {
      if (png !== undefined) pictures.push(toPicture(values));
      if (gif !== undefined && ways.length < MOST_ANIMATED) ways.push(trajectory.map(toPicture));
    },
    sheet: (): Picture => enlarged(pictures.length === 1 ? pictures[0]! : arranged(pictures), scale),
    frames: (): readonly Picture[] => ways[0]!.map((_, point) => enlarged(arranged(ways.map((way) => way[point]!)), scale)), // one image at least
  };
};

/** The sampled images, each seen by the album; a failure ends the command. */
async function* stream(request: RenderRequest, terminal: Terminal, see: (image: SampledImage) => void): AsyncGenerator<SampledImage> {
  const { backend, model, plan, size, seed, labels, first, end, outputs } = request;
  const tokens = (size.height * size.width) / model.config.patch_size ** 2;
  const compiling = makeProgress('compiling', terminal),
    sampling = makeProgress('sampling', terminal);
  const images = sample({
    backend,
    model,
    plan,
    size,
    seed,
    labels,
    first,
    end,
    batch: request.batch ?? suitableBatch(backend, tokens),
    trajectory: outputs.gif !== undefined,
    signal: terminal.signal,
    onCompiled: (ready, all) => {
      if (all >= SLOW_TO_COMPILE) compiling.update(ready, all);
      if (ready === all) compiling.end();
    },
    onStep: sampling.update,
    onLower: (batch, { message }) => {
      sampling.end();
      terminal.note(`the batch is lowered to ${batch}: ${message}`);
    },
  });
  try {
    for await (const image of images) {
      const made = orStop(image);
      see(made);
      yield made;
    }
  } finally {
    compiling.end();
    sampling.end();
  }
}

/** Programs with fewer kernels are ready at once: no bar for them. */
const SLOW_TO_COMPILE = 10;

/** Samples and writes; gives the paths that were written. The outputs must be without mistakes. */
export const render = async (request: RenderRequest, terminal: Terminal): Promise<readonly string[]> => {
  const {
    model: {
      config: { in_channels: channels },
    },
    size: { height, width },
    first,
    end,
    outputs: { png, gif, npz },
  } = request;
  const album = makeAlbum(request),
    stoppable = { signal: terminal.signal };
  const images = stream(request, terminal, album.add);
  if (npz !== undefined)
    await settle(writeNpz(npz, { count: end - first, height, width, channels }, bytesOf(images, channels, height * width), stoppable));
  else for await (const _image of images); // seen by the album
  if (png !== undefined) await settle(writePng(png, album.sheet(), stoppable));
  if (gif !== undefined) await settle(writeGif(gif, album.frames(), stoppable));
  return [png, gif, npz].flatMap((path) => path ?? []);
};

async function* bytesOf(images: AsyncIterable<SampledImage>, channels: number, pixels: number): AsyncGenerator<Uint8Array> {
  for await (const { values } of images) yield interleave(toUint8(values), channels, pixels);
}

/** Refuses outputs with mistakes, and whatever else was found before. */
export const checkBeforeWork = async (found: readonly string[], outputs: Outputs, channels: number, size: ImageSize, count: number): Promise<void> =>
  stopAt([...found, ...(await outputMistakes(outputs, channels, size, count))]);
