/** Small checkpoints made for tests, honest and hostile: a zip writer that can lie, and pickles put together opcode by opcode. */

/** An entry for `zipPieces`; the optional fields make it lie. */
export interface FixtureEntry {
  readonly name: string;
  /** The data, or only its length: then the file has a hole there. */
  readonly data: Uint8Array | number;
  readonly method?: number;
  readonly flags?: number;
  readonly unpackedSize?: number;
  readonly localName?: string;
}

/** Bytes at a position of a file. */
export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const joined = (parts: readonly (Uint8Array | readonly number[])[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

const little = (value: number, width: number): number[] => Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) % 256);

const lengthOf = (data: Uint8Array | number): number => (typeof data === 'number' ? data : data.length);

/** The pieces of a zip file, each entry's data at a multiple of 64 as torch.save aligns it; zip64 records throughout where asked for. */
export const zipPieces = (entries: readonly FixtureEntry[], zip64 = false): readonly Piece[] => {
  const pieces: Piece[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const entry of entries) {
    const name = encode(entry.localName ?? entry.name);
    const padding = 64 - ((at + 30 + name.length) % 64);
    const header = joined([little(0x04034b50, 4), little(0, 22), little(name.length, 2), little(padding, 2), name, new Uint8Array(padding)]);
    pieces.push({ at, bytes: header });
    if (typeof entry.data !== 'number') pieces.push({ at: at + header.length, bytes: entry.data });
    directory.push(directoryEntry(entry, at, zip64));
    at += header.length + lengthOf(entry.data);
  }
  return [...pieces, { at, bytes: joined([...directory, endRecords(at, directory, zip64)]) }];
};

const directoryEntry = ({ name, data, method = 0, flags = 0, unpackedSize }: FixtureEntry, at: number, zip64: boolean): Uint8Array => {
  const sizes = [unpackedSize ?? lengthOf(data), lengthOf(data), at];
  const extra = zip64 ? [...little(1, 2), ...little(24, 2), ...sizes.flatMap((size) => little(size, 8))] : [];
  const [unpacked, packed, offset] = sizes.map((size) => little(zip64 ? 0xffffffff : size, 4));
  return joined([
    little(0x02014b50, 4), little(0, 4), little(flags, 2), little(method, 2), little(0, 8), packed!, unpacked!,
    little(encode(name).length, 2), little(extra.length, 2), little(0, 10), offset!, encode(name), extra,
  ]); // prettier-ignore
};

const endRecords = (start: number, directory: readonly Uint8Array[], zip64: boolean): Uint8Array => {
  const size = joined(directory).length;
  const count = directory.length;
  const [short, long] = [zip64 ? 0xffff : count, (value: number) => little(zip64 ? 0xffffffff : value, 4)];
  const end64 = [little(0x06064b50, 4), little(44, 8), little(0, 12), little(count, 8), little(count, 8), little(size, 8), little(start, 8)];
  const locator = [little(0x07064b50, 4), little(0, 4), little(start + size, 8), little(1, 4)];
  const end = [little(0x06054b50, 4), little(0, 4), little(short, 2), little(short, 2), long(size), long(start), little(0, 2)];
  return joined([...(zip64 ? [...end64, ...locator] : []), ...end]);
};

/** A whole zip file in memory. */
export const zipOf = (entries: readonly FixtureEntry[], zip64 = false): Uint8Array => {
  const pieces = zipPieces(entries, zip64);
  const last = pieces.at(-1)!;
  const file = new Uint8Array(last.at + last.bytes.length);
  for (const { at, bytes } of pieces) file.set(bytes, at);
  return file;
};

/** Opcodes that leave one value on the stack. */
export type Code = readonly number[];

const letter = (opcode: string): number => opcode.charCodeAt(0);

export const text = (value: string): Code => [letter('X'), ...little(encode(value).length, 4), ...encode(value)];
export const int = (value: number): Code => [0x8a, 8, ...little(value, 8)];
export const list = (...items: readonly Code[]): Code => [letter(']'), letter('('), ...items.flat(), letter('e')];
export const tuple = (...items: readonly Code[]): Code => [letter('('), ...items.flat(), letter('t')];
export const dict = (entries: Readonly<Record<string, Code>>): Code => [
  letter('}'), letter('('), ...Object.entries(entries).flatMap(([key, value]) => [...text(key), ...value]), letter('u'),
]; // prettier-ignore
export const global = (module: string, name: string): Code => [letter('c'), ...encode(`${module}\n${name}\n`)];
export const call = (callee: Code, ...args: readonly Code[]): Code => [...callee, ...tuple(...args), letter('R')];

/** The whole pickle of a value, protocol 2. */
export const pickleOf = (value: Code): Uint8Array => Uint8Array.from([0x80, 2, ...value, letter('.')]);

/** A tensor as torch.save writes it. */
export interface FixtureTensor {
  readonly key?: string;
  readonly type?: string;
  readonly elements: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

export const tensor = ({ key = '0', type = 'FloatStorage', elements, offset = 0, shape, stride }: FixtureTensor): Code => {
  const storage = [...tuple(text('storage'), global('torch', type), text(key), text('cpu'), int(elements)), letter('Q')];
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    storage,
    int(offset),
    tuple(...shape.map(int)),
    tuple(...stride.map(int)),
    [0x89],
    [letter('N')],
  );
};

/** The entries of a checkpoint: data.pkl and the storages by key. */
export const checkpointEntries = (top: Code, storages: Readonly<Record<string, Uint8Array | number>>, root = 'archive'): readonly FixtureEntry[] => [
  { name: `${root}/data.pkl`, data: pickleOf(top) },
  ...Object.entries(storages).map(([key, data]) => ({ name: `${root}/data/${key}`, data })),
  { name: `${root}/version`, data: encode('3\n') },
];

/** The bytes of a typed array. */
export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);
