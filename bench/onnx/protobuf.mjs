/**
 * The part of protobuf that ONNX files need: varints, floats, bytes and nested messages.
 *
 * A message is a list of fields `[number, value]`: a number or bigint is a varint, `float(x)` 32 bits, text and bytes are themselves, and
 * a list of fields is a nested message.
 */

/** A number that is written as a 32-bit float. */
export const float = (value) => ({ float: value });

const varint = (value) => {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value)); // negative numbers take ten bytes
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
};

const key = (field, wireType) => varint((field << 3) | wireType);
const sized = (field, bytes) => [key(field, 2), varint(bytes.length), bytes];

const float32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};

const parts = ([field, value]) => {
  if (typeof value === 'number' || typeof value === 'bigint') return [key(field, 0), varint(value)];
  if (value.float !== undefined) return [key(field, 5), float32(value.float)];
  if (typeof value === 'string') return sized(field, Buffer.from(value));
  return sized(field, value instanceof Uint8Array ? value : message(value));
};

/** The bytes of a message. */
export const message = (fields) => Buffer.concat(fields.flatMap(parts));
