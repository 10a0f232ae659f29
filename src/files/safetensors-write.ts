/** Makes safetensors: a header from the declared names, formats and shapes, then each tensor's data as it comes, never all at once. */
import { byteWidth } from './dtype.ts';
import type { FileDType } from './dtype.ts';
import { FileFault, fail, fileError } from './errors.ts';
import { byteCount, showShape } from './tensor-file.ts';
import type { TensorInfo } from './tensor-file.ts';

/** A tensor to be written: `data` is called once, when its turn comes, and gives row-major elements in the declared format. */
export interface TensorToWrite extends TensorInfo {
  readonly name: string;
  readonly data: () => ArrayBufferView | Promise<ArrayBufferView>;
}

/**
 * The pieces of the file: the tensors with the largest element width first, otherwise in the given order. `path` is for messages only.
 * Faults: invalid-input for a repeated name or data of a wrong length.
 */
export async function* safetensorsPieces(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const ordered = tensors.toSorted((a, b) => byteWidth(b.dtype) - byteWidth(a.dtype));
  yield headerBytes(path, ordered, metadata);
  for (const tensor of ordered) yield dataBytes(path, tensor, await readData(path, tensor));
}

// data comes from another file, whose fault must not be taken for one of this file
const readData = async (path: string, tensor: TensorToWrite): Promise<ArrayBufferView> => {
  try {
    return await tensor.data();
  } catch (thrown) {
    if (thrown instanceof FileFault) throw thrown;
    throw new FileFault(fileError('invalid-input', path, `tensor ${tensor.name} could not be read (${String(thrown)})`));
  }
};

const dataBytes = (path: string, tensor: TensorToWrite, { buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => {
  if (byteLength !== byteCount(tensor))
    fail(
      'invalid-input',
      path,
      `tensor ${tensor.name} ${showShape(tensor.shape)} of ${tensor.dtype} needs ${byteCount(tensor)} bytes, got ${byteLength}`,
    );
  return new Uint8Array(buffer, byteOffset, byteLength);
};

const headerBytes = (path: string, tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Uint8Array => {
  const entries: [string, { dtype: FileDType; shape: readonly number[]; data_offsets: [number, number] }][] = [];
  const names = new Set(['__metadata__']);
  let at = 0;
  for (const tensor of tensors) {
    if (names.has(tensor.name)) fail('invalid-input', path, `two tensors are called ${tensor.name}`);
    names.add(tensor.name);
    const end = at + byteCount(tensor);
    entries.push([tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [at, end] }]);
    at = end;
  }
  return framed(
    `{${[['__metadata__', metadata] as const, ...entries].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
  );
};

/** Length prefix and spaces after the JSON, so that the data starts at a multiple of 8. */
const framed = (json: string): Uint8Array => {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
};
