/** Packs as data sets: which items take part, which of their labels counts, and their size. The file itself is described in pack-format.ts. */
import { readFile, stat } from 'node:fs/promises';
import { fail } from '../files/errors.ts';
import { type Dataset, type DataOptions, extentOf, type Item } from './dataset.ts';
import { checkNames } from './folders.ts';
import { interleaved, type PackContent } from './pack-format.ts';
import { parsePack, USUAL_MEMORY } from './pack-read.ts';
import { centreCrop, planar, type Raster } from './resample.ts';

export const PACK_FILE = /\.pack$/i;

/** Which labels count, and what they are called. */
const labelled = (path: string, { classes, attributes = [] }: PackContent, label: NonNullable<DataOptions['label']>) => {
  if (label !== 'class' && attributes.length === 0) fail('invalid-input', path, `its items have no second label, so label: "${label}" has no meaning`);
  const names = label === 'class' ? classes : label === 'attribute' ? attributes : classes.flatMap((name) => attributes.map((attribute) => `${name}, ${attribute}`));
  const of = ({ label: first, attribute = 0 }: Item): number => (label === 'class' ? first : label === 'attribute' ? attribute : first * attributes.length + attribute);
  return { names, of };
};

/** Opens a pack as a data set; another size is cropped and scaled as images are. */
export const packDataset = async (path: string, options: DataOptions): Promise<Dataset> => {
  const { size: bytes } = await stat(path), memory = options.memory ?? USUAL_MEMORY;
  if (bytes > memory) return fail('unsupported', path, `a pack of ${bytes} bytes is too large; ${memory} are allowed`);
  const content = await parsePack(path, await readFile(path), memory), { channels, height, width } = content;
  if (options.channels !== undefined && options.channels !== channels) return fail('mismatch', path, `its images have ${channels} channels, not ${options.channels}`);
  const { names, of } = labelled(path, content, options.label ?? 'class'), heldOut = options.heldOut ?? 'without';
  checkNames(path, names, options.classes);
  const items = content.items.filter((item) => heldOut === 'with' || (item.heldOut === true) === (heldOut === 'only'));
  if (items.length === 0) return fail('empty', path, `no image is left ${heldOut} those that are held out`);
  const to = extentOf(options.size ?? { height, width }), isSame = to.height === height && to.width === width;
  const scaled = (pixels: Uint8Array): Uint8Array => {
    if (isSame) return pixels;
    const raster: Raster = { width, height, channels, data: interleaved(pixels, content) };
    return planar(centreCrop(raster, to));
  };
  const away = content.items.length - items.length;
  return {
    size: items.length, classes: names, channels, ...to,
    ...(content.attributes !== undefined && { attributes: content.attributes }),
    notes: away > 0 && heldOut === 'without' ? [`${path}: ${away} images are held out`] : [],
    item: async (i) => {
      const { pixels, caption, attribute } = items[i]!; // callers stay below `size`
      return { pixels: scaled(pixels), label: of(items[i]!), ...(caption !== undefined && { caption }), ...(attribute !== undefined && { attribute }) };
    },
    close: async () => undefined,
  };
};
