/** Fashion-MNIST from its package: the halves, and the table that says which image is in which. From the true package where PIXNERD_PACKAGES has it. */
import { expect, test } from 'vitest';
import { gunzipSync } from 'node:zlib';
import { inFolder, opened } from '../files/test-folder.ts';
import { filesOfHalf, halvesOf, splitCodes, fashionFiles } from './fashion.ts';
import { openDataset } from './open.ts';
import { writeFiles } from './test-images.ts';

const images = (...values: readonly number[]): readonly Uint8Array[] => values.map((value) => new Uint8Array(784).fill(value));

test('images go into the halves that their codes say, the classes in turn', () => {
  const { train, t10k } = halvesOf([images(1, 2, 3, 4), images(5, 6)], [1, 0, 2, 1, 1, 1]);
  const shown = (items: typeof train) => items.map(({ image, label }) => [image[0], label]);
  expect(shown(train)).toEqual([[1, 0], [5, 1], [4, 0], [6, 1]]);
  expect(shown(t10k)).toEqual([[3, 0]]);
});

test('the table: as many images as the package has, and the official ones among them', () => {
  const codes = splitCodes(), counts = [0, 0, 0, 0];
  for (const code of codes) counts[code]!++;
  expect(counts).toEqual([5659, 55167, 9176, 0]);
});

test('what is written is a data set', () =>
  inFolder(async (folder) => {
    await writeFiles(folder, filesOfHalf('train', [{ image: images(9)[0]!, label: 0 }, { image: images(8)[0]!, label: 1 }]));
    const dataset = opened(await openDataset({ path: folder })());
    expect([dataset.size, (await dataset.item(1)).label, (await dataset.item(1)).pixels[0]]).toEqual([2, 1, 8]);
  }));

const packages = process.env['PIXNERD_PACKAGES'];
test.skipIf(packages === undefined)('the true package', async () => {
  const { files, note } = await fashionFiles('npm', { packages });
  expect(note).toContain('55167 of the 60,000');
  expect(gunzipSync(files['t10k-images-idx3-ubyte.gz'] as Uint8Array).length).toBe(16 + 9176 * 784); // as: it is no text
}, 120_000);
