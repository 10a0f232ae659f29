/**
 * A sharded safetensors set: `*.index.json` maps every tensor to the file beside it that holds it. Shard names with folders in them are refused,
 * so that an index cannot reach other files.
 */
import { fail } from './errors.ts';
import type { RandomAccess } from './random-access.ts';
import { readHeader } from './safetensors-header.ts';
import type { Placed } from './safetensors-header.ts';
import type { TensorFile } from './tensor-file.ts';

type Open = (path: string) => Promise<RandomAccess>;
interface Shard {
  readonly file: RandomAccess;
  readonly tensors: ReadonlyMap<string, Placed>;
}

// an index of the largest models has some hundred kilobytes
const largestIndex = 64 * 2 ** 20;

/** Opens the index and every shard that it names. */
export const openShards = async (path: string, open: Open): Promise<TensorFile> => {
  const { weightMap, metadata } = parseIndex(await readText(path, open), path);
  const shards = await openAll([...new Set(weightMap.values())], path, open);
  const close = async (): Promise<void> => closeAll([...shards.values()].map(({ file }) => file));
  try {
    const places = locate(weightMap, shards, path);
    const readBytes = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
      const { file, place } = places.get(name) ?? fail('missing', path, `there is no tensor ${name} in the index`);
      return file.read(place.begin, place.end - place.begin);
    };
    const tensors = new Map([...places].map(([name, { place }]) => [name, place]));
    return { path, format: 'safetensors', metadata, tensors, unreadable: new Map(), readBytes, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
};

const readText = async (path: string, open: Open): Promise<string> => {
  const file = await open(path);
  try {
    if (file.size > largestIndex) fail('corrupt', path, `an index of ${file.size} bytes is not believable`);
    return new TextDecoder().decode(await file.read(0, file.size));
  } finally {
    await file.close();
  }
};

interface Index {
  readonly weightMap: ReadonlyMap<string, string>;
  readonly metadata: Readonly<Record<string, string>>;
}

const parseIndex = (text: string, path: string): Index => {
  const { weight_map: map, metadata } = parseObject(text, path);
  if (typeof map !== 'object' || map === null) return fail('corrupt', path, 'the index has no weight_map');
  const weightMap = new Map(Object.entries(map).map(([name, shard]) => [name, shardName(shard, path)]));
  const strings = Object.entries(metadata ?? {}).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]);
  return { weightMap, metadata: Object.fromEntries(strings) };
};

const parseObject = (text: string, path: string): Partial<Record<string, object>> => {
  try {
    const parsed: unknown = JSON.parse(text);
    // its two fields are checked by the caller
    if (typeof parsed === 'object' && parsed !== null) return parsed;
  } catch {
    // falls through to the fault below
  }
  return fail('corrupt', path, 'the index is not a JSON object');
};

const shardName = (shard: unknown, path: string): string => {
  if (typeof shard !== 'string' || shard === '') return fail('corrupt', path, `the shard name ${JSON.stringify(shard)} is not a file name`);
  if (/[/\\]|^\.\.?$/.test(shard)) fail('unsafe', path, `the shard ${JSON.stringify(shard)} lies outside the folder of the index`);
  return shard;
};

const openAll = async (names: readonly string[], path: string, open: Open): Promise<ReadonlyMap<string, Shard>> => {
  const folder = path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  const opened = new Map<string, Shard>();
  const files: RandomAccess[] = [];
  try {
    for (const name of names) {
      const file = await open(folder + name);
      files.push(file);
      opened.set(name, { file, tensors: (await readHeader(file)).tensors });
    }
    return opened;
  } catch (thrown) {
    await closeAll(files);
    throw thrown;
  }
};

const closeAll = async (files: readonly RandomAccess[]): Promise<void> => {
  for (const file of files) await file.close();
};

const locate = (weightMap: ReadonlyMap<string, string>, shards: ReadonlyMap<string, Shard>, path: string) => {
  const places = new Map<string, { readonly file: RandomAccess; readonly place: Placed }>();
  for (const [name, shardFile] of weightMap) {
    const shard = shards.get(shardFile)!; // openAll opened every name of the map
    const place = shard.tensors.get(name) ?? fail('missing', path, `the index says that ${shardFile} has tensor ${name}, but it has not`);
    places.set(name, { file: shard.file, place });
  }
  return places;
};
