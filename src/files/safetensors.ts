/** A safetensors file as a directory of tensors: only the header is read, a tensor's data by range when asked for. */
import { fail } from './errors.ts';
import type { RandomAccess } from './random-access.ts';
import { readHeader } from './safetensors-header.ts';
import type { TensorFile } from './tensor-file.ts';

/** The tensors of an open file; closes it if its header is refused. */
export const safetensorsOf = async (file: RandomAccess): Promise<TensorFile> => {
  try {
    const { metadata, tensors } = await readHeader(file);
    const readBytes = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
      const { begin, end } = tensors.get(name) ?? fail('missing', file.name, `there is no tensor ${name} in the file`);
      return file.read(begin, end - begin);
    };
    return { path: file.name, format: 'safetensors', metadata, tensors, unreadable: new Map(), readBytes, close: file.close };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
};
