/**
 * SwiftShader, a Vulkan driver in software, out of the npm package `@sparticuz/chromium` (linux-x64, glibc): nothing is
 * installed, three files are unpacked once into a cache folder. Node only.
 *
 * Invariant: the folder appears by one rename, so whoever sees it sees it whole, and two processes may unpack at once.
 */

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

export interface SwiftShader {
  /** Path of the Vulkan loader. */
  readonly loader: string;
  /** Path of the driver's description, for VK_DRIVER_FILES. */
  readonly driver: string;
}

const files = ['libvulkan.so.1', 'libvk_swiftshader.so', 'vk_swiftshader_icd.json'] as const;
const packageName = '@sparticuz/chromium';

/** The regular files of a tar archive by base name. The format: 512-byte headers, name at 0, octal size at 124, type at 156. */
export const untar = (tar: Uint8Array): ReadonlyMap<string, Uint8Array> => {
  const found = new Map<string, Uint8Array>();
  const latin = new TextDecoder('latin1');
  const field = (start: number, length: number): string =>
    latin
      .decode(tar.subarray(start, start + length))
      .replace(/\0.*$/s, '')
      .trim();
  for (let at = 0; at + 512 <= tar.length;) {
    const name = field(at, 100);
    if (name === '') break;
    const size = parseInt(field(at + 124, 12), 8) || 0;
    const type = field(at + 156, 1);
    if (type === '' || type === '0') found.set(name.slice(name.lastIndexOf('/') + 1), tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return found;
};

/** The folder of an installed package, looked for upwards from this file, as Node does. */
const packageFolder = (name: string): string | undefined => {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
};

/** Folders to keep the files in, the best first. The shared temporary folder is used only if nobody else can write there. */
const cacheRoots = (): readonly string[] => [
  join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'pixnerd'),
  join(tmpdir(), `pixnerd-${userInfo().uid}`),
];

const isOurs = (folder: string): boolean => {
  const { uid, mode } = statSync(folder);
  return uid === userInfo().uid && (mode & 0o022) === 0;
};

const isWhole = (folder: string): boolean => files.every((file) => existsSync(join(folder, file)));

const unpackInto = (root: string, target: string, archive: string): void => {
  const contents = untar(brotliDecompressSync(readFileSync(archive)));
  const fresh = mkdtempSync(join(root, 'unpacking-'));
  try {
    for (const file of files) {
      const bytes = contents.get(file);
      if (!bytes) throw new Error(`${archive} has no ${file}`);
      writeFileSync(join(fresh, file), bytes);
    }
    chmodSync(fresh, 0o755);
    if (existsSync(target) && !isWhole(target)) rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
  } catch (thrown) {
    // Another process was faster: its folder is as good.
    if (!isWhole(target)) throw thrown;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
};

const unpackUnder = (root: string, folder: string, version: string): string => {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  if (!isOurs(root)) throw new Error(`${root} can be written by others`);
  const target = join(root, `swiftshader-${version}`);
  if (!isWhole(target)) unpackInto(root, target, join(folder, 'bin', 'swiftshader.tar.br'));
  return target;
};

const why = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** Unpacks the driver where that was not done yet; the text says why there is none. `roots` are tried in order. */
export const unpackSwiftShader = (roots: readonly string[] = cacheRoots()): SwiftShader | string => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `SwiftShader comes from npm for linux-x64 only, this is ${process.platform}-${process.arch}`;
  }
  const folder = packageFolder(packageName);
  if (!folder) return `the npm package ${packageName} (SwiftShader) is not installed; npm i ${packageName} brings it`;
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly version: string }; // npm needs it
  const failures: string[] = [];
  for (const root of roots) {
    try {
      const target = unpackUnder(root, folder, version);
      return { loader: join(target, files[0]), driver: join(target, files[2]) };
    } catch (thrown) {
      failures.push(why(thrown));
    }
  }
  return `SwiftShader could not be unpacked: ${failures.join('; ')}`;
};
