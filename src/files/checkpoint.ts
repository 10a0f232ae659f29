/**
 * Reads what torch.save writes (since PyTorch 1.6): a zip with `<root>/data.pkl`, the directory of values, and `<root>/data/<key>`, the storages.
 *
 * Invariant: opening reads the zip directory and data.pkl only; a tensor's bytes are read when asked for, so a checkpoint may be larger than the
 * memory. Every tensor offered lies inside its storage, and every storage inside the file.
 */
import { byteWidth } from './dtype.ts';
import type { FileDType } from './dtype.ts';
import { fail } from './errors.ts';
import { PickleFault } from './pickle-fault.ts';
import { dtypeOf, isTensorRef, torchConstructors } from './pickle-globals.ts';
import type { TensorRef } from './pickle-globals.ts';
import { parsePickle } from './pickle.ts';
import type { PickleValue } from './pickle.ts';
import type { RandomAccess } from './random-access.ts';
import { isContiguous, lastElement, gather } from './strided.ts';
import { elementCount, showShape } from './tensor-file.ts';
import type { TensorFile, TensorInfo } from './tensor-file.ts';
import { entryDataStart, readZipDirectory, readZipEntry } from './zip.ts';
import type { ZipEntry } from './zip.ts';

type Entries = ReadonlyMap<string, ZipEntry>;

/** A tensor whose window and storage were checked. */
interface Placed extends TensorInfo {
  readonly ref: TensorRef;
  readonly entry: ZipEntry;
}

// data.pkl of the largest models has a few megabytes
const largestPickle = 32 * 2 ** 20;

/** The tensors of an open `.ckpt` or `.pt`: those of `state_dict`, or of the top level where there is none. Closes the file if it is refused. */
export const checkpointOf = async (file: RandomAccess): Promise<TensorFile> => {
  try {
    return await readCheckpoint(file);
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
};

const readCheckpoint = async (file: RandomAccess): Promise<TensorFile> => {
  const entries = await readZipDirectory(file);
  const root = rootFolder(entries, file.name);
  await checkByteOrder(file, entries, root);
  const top = await readValues(file, entries.get(`${root}data.pkl`)!); // rootFolder found it
  const { refs, unreadable } = readableTensors(stateDict(top, file.name));
  const tensors = new Map([...refs].map(([name, { ref, dtype }]) => [name, place(name, ref, dtype, entries, root, file.name)]));
  return {
    path: file.name,
    format: 'checkpoint',
    metadata: scalars(top),
    tensors,
    unreadable,
    readBytes: async (name) => readTensor(file, tensors.get(name) ?? fail('missing', file.name, `there is no tensor ${name} in the file`)),
    close: file.close,
  };
};

const rootFolder = (entries: Entries, path: string): string => {
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name));
  if (pickles.length === 1) return pickles[0]!.slice(0, -'data.pkl'.length);
  return fail('corrupt', path, `this zip file is no PyTorch checkpoint: it has ${pickles.length} files <folder>/data.pkl, one is needed`);
};

const checkByteOrder = async (file: RandomAccess, entries: Entries, root: string): Promise<void> => {
  const entry = entries.get(`${root}byteorder`);
  if (entry === undefined || entry.size > 16) return;
  const order = new TextDecoder().decode(await readZipEntry(file, entry)).trim();
  if (order !== 'little') fail('unsupported', file.name, `its numbers are in ${order}-endian order; save it again on an ordinary machine`);
};

const readValues = async (file: RandomAccess, entry: ZipEntry): Promise<PickleValue> => {
  if (entry.size > largestPickle) fail('corrupt', file.name, `a data.pkl of ${entry.size} bytes is not believable`);
  const bytes = await readZipEntry(file, entry);
  try {
    return parsePickle(bytes, torchConstructors);
  } catch (thrown) {
    if (!(thrown instanceof PickleFault)) throw thrown;
    return fail(thrown.unsafe ? 'unsafe' : 'corrupt', file.name, `data.pkl is refused: ${thrown.message}`);
  }
};

const stateDict = (top: PickleValue, path: string): ReadonlyMap<PickleValue, PickleValue> => {
  if (!(top instanceof Map)) return fail('unsupported', path, 'the checkpoint is not a dict; it should hold a state_dict');
  const inner = top.get('state_dict');
  if (inner instanceof Map) return inner;
  if ([...top.values()].some(isTensorRef)) return top;
  return fail(
    'unsupported',
    path,
    `the checkpoint has neither a state_dict nor tensors; its entries are ${[...top.keys()].slice(0, 20).map(showPlain).join(', ')}`,
  );
};

/** Numbers, texts and truth values of the top level: epoch, global_step, pytorch-lightning_version. */
const scalars = (top: PickleValue): Readonly<Record<string, string>> => {
  const plain = top instanceof Map ? [...top].filter(([, value]) => isPlain(value)) : [];
  return Object.fromEntries(plain.map(([key, value]) => [showPlain(key), showPlain(value)]));
};

type Plain = string | number | bigint | boolean;

const isPlain = (value: PickleValue): value is Plain => ['string', 'number', 'bigint', 'boolean'].includes(typeof value);

const showPlain = (value: PickleValue): string => (isPlain(value) ? String(value) : '(no plain value)');

/** The dict's tensors; what else it holds (a layer's extra state) is no weight. */
const readableTensors = (dict: ReadonlyMap<PickleValue, PickleValue>) => {
  const refs = new Map<string, { readonly ref: TensorRef; readonly dtype: FileDType }>();
  const unreadable = new Map<string, string>();
  for (const [name, ref] of dict) {
    if (typeof name !== 'string' || !isTensorRef(ref)) continue;
    const dtype = dtypeOf(ref);
    if (dtype === undefined) unreadable.set(name, ref.dtypeName);
    else refs.set(name, { ref, dtype });
  }
  return { refs, unreadable };
};

// an expanded tensor (stride 0) may be larger than its storage, but not without end
const largestExpansion = 2 ** 26;

const place = (name: string, ref: TensorRef, dtype: FileDType, entries: Entries, root: string, path: string): Placed => {
  const { shape, stride, offset, storage } = ref;
  const key = `${root}data/${storage.key}`;
  const entry = entries.get(key) ?? fail('corrupt', path, `tensor ${name}: its storage ${key} is not in the file`);
  checkStorage(name, ref, dtype, entry, path);
  const last = lastElement(shape, stride, offset);
  if (last >= Math.floor(entry.size / byteWidth(dtype)))
    fail('corrupt', path, `tensor ${name} ${showShape(shape)} reaches element ${last} of a storage of ${Math.floor(entry.size / byteWidth(dtype))}`);
  const count = elementCount(shape);
  if (count > Math.max(largestExpansion, entry.size)) fail('corrupt', path, `tensor ${name} ${showShape(shape)} is far larger than its storage`);
  return { shape, dtype, ref, entry };
};

const checkStorage = (name: string, { storage, dtypeName }: TensorRef, dtype: FileDType, entry: ZipEntry, path: string): void => {
  const width = dtypeName === storage.typeName ? byteWidth(dtype) : 1; // a tensor with a format of its own has a storage counted in bytes
  if (storage.elements * width > entry.size)
    fail('truncated', path, `tensor ${name}: its storage ${entry.name} should have ${storage.elements * width} bytes, but has ${entry.size}`);
};

const readTensor = async (file: RandomAccess, { ref, shape, dtype, entry }: Placed): Promise<Uint8Array<ArrayBuffer>> => {
  const width = byteWidth(dtype);
  const count = elementCount(shape);
  if (count === 0) return new Uint8Array(0);
  const start = (await entryDataStart(file, entry)) + ref.offset * width;
  if (isContiguous(shape, ref.stride)) return file.read(start, count * width);
  const window = await file.read(start, (lastElement(shape, ref.stride, 0) + 1) * width);
  return gather(window, shape, ref.stride, width);
};
