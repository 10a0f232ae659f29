/** The scalar encodings of Python pickles over a moving position; every read checks that the bytes are there. */
import { PickleFault } from './pickle-fault.ts';

/** Reads values one after the other. */
export type PickleBytes = ReturnType<typeof pickleBytes>;

/** A position at the beginning of `data`. */
export const pickleBytes = (data: Uint8Array) => {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let at = 0;
  const skip = (length: number): number => {
    if (at + length > data.length) throw new PickleFault(`it ends in the middle of a value (byte ${data.length})`);
    at += length;
    return at - length;
  };
  const bytes = (length: number): Uint8Array => data.subarray(skip(length), at);
  const line = (): string => {
    const end = data.indexOf(0x0a, at);
    if (end < 0) throw new PickleFault('a line does not end');
    return latin1(bytes(end + 1 - at).subarray(0, -1));
  };
  return {
    position: () => at,
    byte: () => view.getUint8(skip(1)),
    uint16: () => view.getUint16(skip(2), true),
    uint32: () => view.getUint32(skip(4), true),
    int32: () => view.getInt32(skip(4), true),
    // an impossible length is rounded here, and then fails in skip
    uint64: () => Number(view.getBigUint64(skip(8), true)),
    float64: () => view.getFloat64(skip(8), false),
    long: (length: number) => littleEndian(bytes(checkedLength(length))),
    bytes,
    text: (length: number) => decodeText(bytes(length)),
    latin1: (length: number) => latin1(bytes(length)),
    line,
    unicodeLine: () => unescapeUnicode(line()),
    integerLine: () => parseInteger(line()),
    floatLine: () => parseFloatWord(line()),
    quotedLine: () => unquote(line()),
  };
};

// malformed text becomes replacement characters: names are compared, never trusted
const decodeText = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

const latin1 = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

/** Protocol 0 writes texts in latin-1, other letters as a backslash, u and four hexadecimal digits. */
const unescapeUnicode = (text: string): string => text.replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));

const parseFloatWord = (word: string): number => (/^-?inf$/.test(word) ? Number(`${word}inity`.replace('inf', 'Inf')) : Number(word));

// Python's random state needs some thousand bits; the conversion's time grows with the square
const checkedLength = (length: number): number => {
  if (length > 1024) throw new PickleFault(`an integer of ${length} bytes is not believable`);
  return length;
};

const littleEndian = (bytes: Uint8Array): number | bigint => {
  let hex = '';
  for (const byte of bytes) hex = byte.toString(16).padStart(2, '0') + hex;
  return narrow(hex === '' ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`)));
};

const narrow = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

/** Protocol 0 writes True and False as 01 and 00, and long integers with an L. */
const parseInteger = (text: string): number | bigint | boolean => {
  if (text === '01' || text === '00') return text === '01';
  if (!/^[+-]?\d{1,2400}L?$/.test(text)) throw new PickleFault(`${JSON.stringify(text.slice(0, 40))} is no integer`);
  return narrow(BigInt(text.replace(/L$/, '').replace(/^\+/, '')));
};

// escapes are left as they stand: torch.save writes no such texts
const unquote = (text: string): string => {
  if (!/^(['"]).*\1$/s.test(text)) throw new PickleFault('a text without quotes');
  return text.slice(1, -1);
};
