/** Images and data sets for tests, made on the spot. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp, { type Sharp } from 'sharp';

export const FASHION_FIXTURE = fileURLToPath(new URL('./fixtures/fashion/', import.meta.url));

/** Colours that change from pixel to pixel, other ones for another number. */
export const pattern = (width: number, height: number, channels: 1 | 3 | 4, number = 0): Uint8Array =>
  Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const pixel = Math.floor(i / channels), x = pixel % width, y = Math.floor(pixel / width);
    return (x * 7 + y * 3 + (i % channels) * 50 + number * 31) % 256;
  });

/** An image of that pattern, still without format. */
export const image = (width = 12, height = 10, channels: 1 | 3 | 4 = 3, number = 0): Sharp => sharp(pattern(width, height, channels, number), { raw: { width, height, channels } });

/** A picture of one colour. */
export const plain = (background: string, width = 8, height = 8): Sharp => sharp({ create: { width, height, channels: background.length > 7 ? 4 : 3, background } });

/** Writes files below a folder; missing folders are made. */
export const writeFiles = async (folder: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<void> => {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
};

/** Two classes of three images, all different. */
export const twoClasses = async (folder: string): Promise<void> => {
  const files: Record<string, Uint8Array> = {};
  for (const [label, name] of ['cats', 'dogs'].entries()) for (let i = 0; i < 3; i++) files[`${name}/${i}.png`] = await image(20, 16, 3, label * 3 + i).png().toBuffer();
  await writeFiles(folder, files);
};
