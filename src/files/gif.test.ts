import { expect, test } from 'vitest';
import { encodeGif } from './gif.ts';
import type { Picture } from './picture.ts';

/** A GIF as its parts; written for these tests, it knows no more than they need. */
interface Frame {
  readonly width: number;
  readonly height: number;
  readonly delay: number;
  readonly pixels: readonly (readonly number[])[];
}

const readGif = (bytes: Uint8Array): { readonly frames: readonly Frame[]; readonly repeats: number } => {
  const uint16 = (at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
  const table = (at: number, flags: number) => Array.from({ length: 2 << (flags & 7) }, (_, i) => [...bytes.subarray(at + i * 3, at + i * 3 + 3)]);
  expect(String.fromCharCode(...bytes.subarray(0, 6))).toBe('GIF89a');
  const global = table(13, bytes[10]!);
  let at = 13 + global.length * 3;
  let [delay, repeats] = [0, -1];
  const frames: Frame[] = [];
  for (; bytes[at] !== 0x3b;) {
    if (bytes[at] === 0x21) {
      if (bytes[at + 1] === 0xf9) delay = uint16(at + 4) * 10;
      else repeats = uint16(at + 16);
      at += bytes[at + 1] === 0xf9 ? 8 : 19;
      continue;
    }
    const [width, height, flags] = [uint16(at + 5), uint16(at + 7), bytes[at + 9]!];
    const local = flags & 0x80 ? table(at + 10, flags) : [];
    at += 10 + local.length * 3;
    const [codes, next] = subBlocks(bytes, at + 1);
    const palette = local.length > 0 ? local : global;
    frames.push({ width, height, delay, pixels: unpack(codes, bytes[at]!).map((index) => palette[index]!) });
    at = next;
  }
  return { frames, repeats };
};

const subBlocks = (bytes: Uint8Array, start: number): [number[], number] => {
  const codes: number[] = [];
  let at = start;
  for (; bytes[at] !== 0; at += bytes[at]! + 1) codes.push(...bytes.subarray(at + 1, at + 1 + bytes[at]!));
  return [codes, at + 1];
};

const unpack = (bytes: readonly number[], minimum: number): number[] => {
  const clear = 1 << minimum;
  const pixels: number[] = [];
  let [table, size, previous]: [number[][], number, number[] | undefined] = [[], minimum + 1, undefined];
  for (let bit = 0; bit + size <= bytes.length * 8;) {
    let code = 0;
    for (let i = 0; i < size; i++) code |= ((bytes[(bit + i) >> 3]! >> ((bit + i) & 7)) & 1) << i;
    bit += size;
    if (code === clear + 1) return pixels;
    if (code === clear) {
      table = Array.from({ length: clear + 2 }, (_, i) => [i]);
      [size, previous] = [minimum + 1, undefined];
      continue;
    }
    const entry: number[] = table[code] ?? [...previous!, previous![0]!];
    if (previous !== undefined && table.length < 4096) table.push([...previous, entry[0]!]);
    if (table.length === 1 << size && size < 12) size++;
    pixels.push(...entry);
    previous = entry;
  }
  return pixels;
};

const frame = (channels: number, value: (i: number) => number): Picture => ({
  width: 9,
  height: 6,
  channels,
  data: Uint8Array.from({ length: 54 * channels }, (_, i) => value(i)),
});

test('grey frames are exact, the last one is held, the film repeats for ever', () => {
  const frames = [frame(1, (i) => (i * 5) % 256), frame(1, (i) => 255 - i), frame(1, () => 7)];
  const gif = readGif(encodeGif(frames, { delay: 50, lastDelay: 1500 }));
  expect(gif.repeats).toBe(0);
  expect(gif.frames.map(({ delay }) => delay)).toEqual([50, 50, 1500]);
  expect(gif.frames.map(({ width, height }) => [width, height])).toEqual(frames.map(() => [9, 6]));
  expect(gif.frames.map(({ pixels }) => pixels)).toEqual(frames.map(({ data }) => [...data].map((grey) => [grey, grey, grey])));
});

test('a long grey frame survives the growth of the code table', () => {
  const big: Picture = { width: 128, height: 128, channels: 1, data: Uint8Array.from({ length: 16384 }, (_, i) => (i * i * 31 + i) % 256) };
  expect(readGif(encodeGif([big])).frames[0]!.pixels.map(([grey]) => grey)).toEqual([...big.data]);
});

test('colour frames come close to their colours', () => {
  const colours = frame(3, (i) => [250, 20, 10, 10, 240, 20, 0, 0, 0, 255, 255, 255][i % 12]!);
  const pixels = readGif(encodeGif([colours])).frames[0]!.pixels.flat();
  expect(Math.max(...pixels.map((value, i) => Math.abs(value - colours.data[i]!)))).toBeLessThanOrEqual(8);
});

test('frames of different sizes, and none at all, are refused', () => {
  expect(() => encodeGif([frame(1, () => 0), { width: 1, height: 1, channels: 1, data: new Uint8Array(1) }])).toThrow('one size');
  expect(() => encodeGif([])).toThrow('at least one');
});
