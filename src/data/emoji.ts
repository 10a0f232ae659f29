/**
 * Emoji as a data set: one concept drawn in up to four styles, from their npm packages, joined by code point (without FE0F), without skin tones and flags.
 *
 * The class is Unicode's subgroup (face-smiling, food-fruit), the second label is the style, the caption says both. Of some concepts one style is held out:
 * whether a model can draw what it has seen in other styles only. Invariant: the same packages, size and styles give the same bytes.
 */
import { createHash } from 'node:crypto';
import { fail, FileFault } from '../files/errors.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import { closing, type DecodePool, openPool } from './pool.ts';
import { type FetchOptions, fetchPackage, filesOfTarball, jsonOf, type NpmPackage } from './npm-package.ts';
import type { PackContent, PackItem } from './pack-format.ts';
import { encodePack } from './pack-write.ts';
import type { Files } from './fashion.ts';

interface Style {
  /** In the names of classes and in options. */
  readonly name: StyleName;
  /** In captions. */
  readonly words: string;
  readonly source: NpmPackage;
  /** Where its images lie, and how they end. */
  readonly images: RegExp;
  readonly credit: string;
}

export const STYLES = ['3d', 'flat', 'noto', 'twemoji'] as const;
export type StyleName = (typeof STYLES)[number];

const FLUENT = 'Fluent Emoji, Copyright (c) Microsoft Corporation, MIT License, https://github.com/microsoft/fluentui-emoji';

const DRAWN: readonly Style[] = [
  {
    name: '3d', words: '3D glossy', images: /^assets\/([0-9a-f-]+)\.webp$/i, credit: `${FLUENT} (the 3D style)`,
    source: { name: '@lobehub/fluent-emoji-3d', version: '1.1.0', integrity: 'sha512-Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==' },
  },
  {
    name: 'flat', words: 'flat', images: /^assets\/([0-9a-f-]+)\.svg$/i, credit: `${FLUENT} (the flat style)`,
    source: { name: '@lobehub/fluent-emoji-flat', version: '1.1.0', integrity: 'sha512-lPYCg8+N56MIj+iOgeBeH6AF0tneXxJCvgi41rOTjAWpA5rU2WUcmU1fiIXouEe8GrSTarWCYLY2ML+rdLRHsg==' },
  },
  {
    name: 'noto', words: 'Noto', images: /^img\/google\/64\/([0-9a-f-]+)\.png$/i, credit: 'Noto Emoji, Copyright Google LLC, Apache License 2.0, https://github.com/googlefonts/noto-emoji',
    source: { name: 'emoji-datasource-google', version: '16.0.0', integrity: 'sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==' },
  },
  {
    name: 'twemoji', words: 'Twemoji', images: /^img\/twitter\/64\/([0-9a-f-]+)\.png$/i,
    credit: 'Twemoji, Copyright Twitter, Inc. and other contributors, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), https://github.com/jdecked/twemoji',
    source: { name: 'emoji-datasource-twitter', version: '16.0.0', integrity: 'sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==' },
  },
];

const NAMES: NpmPackage = {
  name: 'emojibase-data',
  version: '17.0.0',
  integrity: 'sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==',
};

/** Unicode's groups that are no pictures of things: skin tones and hair as such, and flags. */
const LEFT_OUT = ['component', 'flags'];

/** An emoji: what is drawn, in any style. */
interface Concept {
  readonly code: string;
  readonly label: string;
  readonly subgroup: number;
}

/** A code point sequence as all packages' names mean it: lower case, without FE0F and leading zeros. */
export const codeOf = (name: string): string =>
  name
    .toLowerCase()
    .split('-')
    .filter((point) => point !== 'fe0f')
    .map((point) => point.replace(/^0+/, ''))
    .join('-');

type Loose = Readonly<Record<string, unknown>>;
const objectsIn = (value: unknown): readonly Loose[] => (Array.isArray(value) ? value.filter((one): one is Loose => typeof one === 'object' && one !== null) : []);
const namesIn = (value: unknown): ReadonlyMap<number, string> =>
  new Map(Object.entries(typeof value === 'object' && value !== null ? value : {}).map(([number, name]) => [Number(number), String(name)]));

/** What is drawn, and what the subgroups are called. */
interface Names {
  /** In Unicode's order. */
  readonly concepts: readonly Concept[];
  readonly subgroups: ReadonlyMap<number, string>;
}

/** From the files of emojibase-data. Skin tones are variants inside the entries, which are not looked into. */
export const namesFrom = (files: ReadonlyMap<string, Uint8Array>): Names => {
  const meta = jsonOf(NAMES.name, files, 'meta/groups.json') as Loose, groups = namesIn(meta['groups']), subgroups = namesIn(meta['subgroups']); // as: what is missing is undefined
  const concepts = objectsIn(jsonOf(NAMES.name, files, 'en/data.json')).flatMap(({ hexcode, label, group, subgroup, order }) => {
    const isWhole = typeof hexcode === 'string' && typeof label === 'string' && typeof group === 'number' && typeof subgroup === 'number' && typeof order === 'number';
    return isWhole && groups.has(group) && !LEFT_OUT.includes(groups.get(group)!) ? [{ code: codeOf(hexcode), label, subgroup, order }] : []; // it has the group
  });
  if (concepts.length === 0) return fail('corrupt', NAMES.name, 'there are no emoji in it');
  return { concepts: concepts.sort((a, b) => a.order - b.order), subgroups };
};

/** The images of a style, by code. */
type Drawn = ReadonlyMap<string, Uint8Array>;

const fetchNames = async (options: FetchOptions): Promise<Names> =>
  namesFrom(await filesOfTarball(NAMES.name, await fetchPackage(NAMES, options), (file) => file === 'en/data.json' || file === 'meta/groups.json'));

const fetchImages = async ({ source, images }: Style, options: FetchOptions): Promise<Drawn> => {
  const files = await filesOfTarball(source.name, await fetchPackage(source, options), (file) => images.test(file));
  return new Map([...files].map(([file, bytes]) => [codeOf(images.exec(file)![1]!), bytes])); // the pattern chose them
};

/** One concept in twelve lacks one of its styles. */
const HELD_OUT_OF = 12;

/** Which of the styles that a concept has is held out, if any: by a hash of its code, so that it does not depend on which concepts there are. */
export const heldOutStyle = (code: string, present: readonly StyleName[]): StyleName | undefined => {
  if (present.length < 2) return undefined;
  const hash = createHash('sha256').update(`held out: ${code}`).digest();
  return hash.readUInt32BE(0) % HELD_OUT_OF === 0 ? present[hash.readUInt32BE(4) % present.length] : undefined;
};

export interface EmojiOptions extends FetchOptions {
  readonly size: number;
  readonly styles: readonly StyleName[];
  /** Hears of the work: what is done, and how far. */
  readonly onProgress?: (what: string, done: number, all: number) => void;
}

interface Drawing {
  readonly concept: Concept;
  readonly style: Style;
  readonly bytes: Uint8Array;
}

const WINDOW = 64;

const drawn = async (drawings: readonly Drawing[], { height, width }: ImageSize, pool: DecodePool, { signal, onProgress }: EmojiOptions): Promise<readonly Uint8Array[]> => {
  const pixels: Uint8Array[] = [];
  for (let start = 0; start < drawings.length; start += WINDOW) {
    if (signal?.aborted) fail('aborted', 'emoji', 'stopped; nothing was written');
    const decoded = await Promise.all(
      drawings.slice(start, start + WINDOW).map(({ concept, style, bytes }) =>
        pool.decode({ path: `${style.source.name}: ${concept.code}`, bytes, channels: 3, height, width, drawings: true })),
    );
    for (const result of decoded) {
      if ('error' in result) throw new FileFault(result.error);
      pixels.push(result.pixels);
    }
    onProgress?.('drawing', pixels.length, drawings.length);
  }
  return pixels;
};

const attribution = (styles: readonly Style[], size: number): string =>
  [
    '# Attribution',
    '',
    `The images of this data set are drawings of other people, flattened on white and brought to ${size} x ${size} pixels; nothing else was changed.`,
    '',
    ...styles.map(({ name, credit, source }) => `- **${name}**: ${credit}; from the npm package ${source.name} ${source.version}`),
    `- Names and subgroups: emojibase-data ${NAMES.version}, Copyright (c) Miles Johnson, MIT License; after Unicode's CLDR and emoji-test.txt (Unicode License v3)`,
    '',
    'A model trained on them should come with this list.',
    '',
  ].join('\n');

export interface Emoji {
  readonly files: Files;
  readonly note: string;
}

interface Pair {
  readonly code: string;
  readonly label: string;
  readonly class: string;
  readonly style: string;
}

const stylesIn = (names: readonly StyleName[]): readonly Style[] => DRAWN.filter(({ name }) => names.includes(name));

/** The data set: a pack, a manifest of what is held out, and whom to thank. Faults: unreachable, corrupt, aborted. */
export const emojiFiles = async (options: EmojiOptions): Promise<Emoji> => {
  const { onProgress } = options, styles = stylesIn(options.styles), all = styles.length + 1, found: Drawn[] = [];
  onProgress?.('fetching', 0, all);
  const names = await fetchNames(options);
  for (const style of styles) {
    onProgress?.('fetching', 1 + found.length, all);
    found.push(await fetchImages(style, options));
  }
  onProgress?.('fetching', all, all);
  return drawEmoji(names, found, options);
};

/** The same of names and images that are there: one set of images for each style of the options, in the order of `STYLES`. */
export const drawEmoji = async ({ concepts, subgroups }: Names, found: readonly Drawn[], options: EmojiOptions): Promise<Emoji> => {
  const { size, onProgress } = options, styles = stylesIn(options.styles);
  const presentIn = (code: string): readonly StyleName[] => styles.flatMap(({ name }, i) => (found[i]!.has(code) ? [name] : [])); // one for each style
  // style by style: images that are alike lie together, which is what makes a pack small
  const drawings = styles.flatMap((style, i) => concepts.flatMap((concept) => (found[i]!.has(concept.code) ? [{ concept, style, bytes: found[i]!.get(concept.code)! }] : []))); // as above
  const used = [...new Set(drawings.map(({ concept }) => concept.subgroup))].sort((a, b) => a - b), classes = used.map((number) => subgroups.get(number) ?? `subgroup ${number}`);
  const pool = openPool();
  const pixels = await closing(pool, () => drawn(drawings, { height: size, width: size }, pool, options));
  const items: readonly PackItem[] = drawings.map(({ concept: { code, label, subgroup }, style }, i) => ({
    pixels: pixels[i]!, // one for each drawing
    label: used.indexOf(subgroup),
    attribute: styles.indexOf(style),
    caption: `a ${style.words} emoji of ${label}`,
    ...(heldOutStyle(code, presentIn(code)) === style.name && { heldOut: true }),
  }));
  const content: PackContent = { channels: 3, height: size, width: size, classes, attributes: styles.map(({ name }) => name), items };
  const pack = await encodePack(content, { onProgress: (done, blocks) => onProgress?.('packing', done, blocks), ...(options.signal !== undefined && { signal: options.signal }) });
  const pairs: readonly Pair[] = drawings.flatMap(({ concept: { code, label }, style }, i) => (items[i]!.heldOut === true ? [{ code, label, class: classes[items[i]!.label]!, style: style.name }] : [])); // as above
  const manifest = { images: items.length, concepts: new Set(drawings.map(({ concept }) => concept.code)).size, size, classes, styles: content.attributes, heldOut: pairs };
  return {
    files: { 'emoji.pack': pack, 'manifest.json': `${JSON.stringify(manifest, undefined, 1)}\n`, 'ATTRIBUTION.md': attribution(styles, size) },
    note: `${items.length} images of ${manifest.concepts} emoji in ${styles.length} ${styles.length === 1 ? 'style' : 'styles'}, ${classes.length} classes; ${pairs.length} pairs of emoji and style are held out; the pack has ${(pack.length / 1e6).toFixed(1)} MB`,
  };
};
