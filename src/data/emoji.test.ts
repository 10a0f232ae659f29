/** The emoji set from a few drawings of our own; from the true packages where PIXNERD_PACKAGES names a folder with their tarballs. */
import { describe, expect, test } from 'vitest';
import { codeOf, drawEmoji, emojiFiles, heldOutStyle, namesFrom, STYLES } from './emoji.ts';
import { parsePack } from './pack-read.ts';
import { plain } from './test-images.ts';

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const emoji = (hexcode: string, label: string, group: number, subgroup: number, order: number) => ({ hexcode, label, group, subgroup, order, skins: [{ hexcode: `${hexcode}-1F3FB` }] });

const NAMES = namesFrom(
  new Map([
    ['meta/groups.json', json({ groups: { 0: 'faces', 2: 'component', 4: 'food', 9: 'flags' }, subgroups: { 7: 'face-glad', 42: 'fruit', 1: 'never drawn' } })],
    [
      'en/data.json',
      json([
        emoji('1F34E', 'red apple', 4, 42, 20), emoji('263A-FE0F', 'smiling face', 0, 7, 10), emoji('1F3FB', 'light skin', 2, 1, 1), emoji('1F1E8-1F1ED', 'flag: Switzerland', 9, 1, 30),
        emoji('0023-FE0F-20E3', 'hash', 4, 42, 25), { hexcode: '1F1E6', label: 'regional indicator A' }, 'odd',
      ]),
    ],
  ]),
);

describe('names', () => {
  test('codes are the same in all packages', () => {
    expect(['0023-fe0f-20e3', '23-20E3', '0023-20e3'].map(codeOf)).toEqual(['23-20e3', '23-20e3', '23-20e3']);
  });

  test('skin tones, flags and what has no group are left out; the order is that of Unicode', () => {
    expect(NAMES.concepts.map(({ label }) => label)).toEqual(['smiling face', 'red apple', 'hash']);
  });
});

describe('the set', () => {
  const drawing = new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><circle cx="16" cy="16" r="15" fill="#00f"/></svg>');
  const make = async () =>
    drawEmoji(NAMES, [
      new Map([['1f34e', await plain('#ff000000', 256, 256).webp({ lossless: true }).toBuffer()], ['263a', await plain('#ff0000', 256, 256).webp({ lossless: true }).toBuffer()]]),
      new Map([['1f34e', drawing], ['23-20e3', drawing], ['1f44b', drawing]]),
    ], { size: 16, styles: ['3d', 'flat'] });

  test('drawings of all kinds, white where they are transparent, with class, style and caption', async () => {
    const { files, note } = await make(), { classes, attributes, items } = await parsePack('p', files['emoji.pack'] as Uint8Array); // as: it is no text
    expect([classes, attributes]).toEqual([['face-glad', 'fruit'], ['3d', 'flat']]);
    expect(items.map(({ label, attribute, caption }) => [classes[label], attributes![attribute!], caption])).toEqual([
      ['face-glad', '3d', 'a 3D glossy emoji of smiling face'],
      ['fruit', '3d', 'a 3D glossy emoji of red apple'],
      ['fruit', 'flat', 'a flat emoji of red apple'],
      ['fruit', 'flat', 'a flat emoji of hash'],
    ]);
    const colour = (i: number, place: number): readonly number[] => [0, 1, 2].map((c) => items[i]!.pixels[c * 256 + place]!);
    expect([colour(0, 0), colour(1, 0), colour(2, 0), colour(2, 8 * 16 + 8)]).toEqual([[255, 0, 0], [255, 255, 255], [255, 255, 255], [0, 0, 255]]);
    expect(note).toMatch(/^4 images of 3 emoji in 2 styles, 2 classes; \d+ pairs/);
  });

  test('the manifest lists the items that are held out, and the licences are there', async () => {
    const { files } = await make(), { items } = await parsePack('p', files['emoji.pack'] as Uint8Array), manifest = JSON.parse(files['manifest.json'] as string) as { readonly heldOut: readonly unknown[] }; // as: we wrote them
    expect(manifest).toMatchObject({ images: 4, concepts: 3, size: 16, styles: ['3d', 'flat'] });
    expect(manifest.heldOut).toHaveLength(items.filter(({ heldOut }) => heldOut === true).length);
    expect(files['ATTRIBUTION.md']).toContain('Microsoft Corporation, MIT License');
    expect(files['ATTRIBUTION.md']).not.toContain('Twemoji');
  });

  test('a concept that has one style only is never held out; of the others, one style of about one in twelve', () => {
    const held = Array.from({ length: 2400 }, (_, i) => heldOutStyle(i.toString(16), STYLES)).filter((style) => style !== undefined);
    expect(Math.abs(held.length - 200)).toBeLessThan(50);
    expect(new Set(held)).toEqual(new Set(STYLES));
    expect(Array.from({ length: 500 }, (_, i) => heldOutStyle(i.toString(16), ['flat'])).every((style) => style === undefined)).toBe(true);
  });

  test('a drawing that is damaged is named', async () => {
    await expect(drawEmoji(NAMES, [new Map([['1f34e', Uint8Array.of(1, 2, 3)]])], { size: 16, styles: ['noto'] })).rejects.toMatchObject({ error: { kind: 'corrupt', path: 'emoji-datasource-google: 1f34e' } });
  });
});

const packages = process.env['PIXNERD_PACKAGES'];
test.skipIf(packages === undefined)('the true packages, at 16 pixels', async () => {
  const { files, note } = await emojiFiles({ packages, size: 16, styles: ['3d', 'flat'] });
  expect(note).toMatch(/^3157 images of 1599 emoji in 2 styles, 95 classes; 141 pairs/);
  const { items, classes } = await parsePack('p', files['emoji.pack'] as Uint8Array);
  const apple = items.findIndex(({ caption }) => caption === 'a 3D glossy emoji of red apple');
  expect(classes[items[apple]!.label]).toBe('food-fruit');
}, 300_000);
