/** The safetensors that the bench writes for itself: f32, f64 and i32. (The package has a complete reader; the peers' processes do not load it.) */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

const TAGS = { Float32Array: 'F32', Float64Array: 'F64', Int32Array: 'I32' };
const TYPES = { F32: Float32Array, F64: Float64Array, I32: Int32Array };

const writeAll = (file, bytes) => {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
};

export const write = (path, tensors, metadata = {}) => {
  const header = { __metadata__: metadata };
  let at = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: TAGS[data.constructor.name], shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header)), padded = Buffer.concat([text, Buffer.alloc(-text.length & 7, 0x20)]), size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  const file = openSync(path, 'w');
  for (const part of [size, padded, ...Object.values(tensors).map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))]) writeAll(file, part);
  closeSync(file);
};

/** { metadata, tensors: name -> { shape, data } } */
export const read = (path) => {
  const raw = readFileSync(path), length = Number(raw.readBigUInt64LE(0));
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(raw.subarray(8, 8 + length).toString());
  const tensors = Object.fromEntries(Object.entries(entries).map(([name, { dtype, shape, data_offsets: [start, end] }]) => {
    const bytes = Uint8Array.from(raw.subarray(8 + length + start, 8 + length + end)); // a copy, aligned
    return [name, { shape, data: new TYPES[dtype](bytes.buffer) }];
  }));
  return { metadata, tensors };
};
