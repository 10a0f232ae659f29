/** Files that come with the package, wherever its code was bundled to. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const isRoot = (folder: string): boolean => {
  const file = join(folder, 'package.json');
  return existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { readonly name?: string }).name === 'pixnerd'; // npm's format
};

const findRoot = (): string => {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (isRoot(folder)) return folder;
    if (folder === dirname(folder)) return dirname(start);
  }
};

/** The path of a file in the package. */
export const inPackage = (...parts: readonly string[]): string => join(findRoot(), ...parts);
