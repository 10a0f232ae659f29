/** The checksum of zip and PNG files: CRC-32, reflected polynomial 0xedb88320. */

const divide = (byte: number): number => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
  return rest;
};

const table = Int32Array.from({ length: 256 }, (_, byte) => divide(byte));

/** The checksum of what was summed before (0 for nothing) followed by `bytes`. */
export const crc32 = (bytes: Uint8Array, before = 0): number => {
  let rest = ~before;
  for (let i = 0; i < bytes.length; i++) rest = (rest >>> 8) ^ table[(rest ^ bytes[i]!) & 255]!;
  return ~rest >>> 0;
};
