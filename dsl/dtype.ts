/** Element types of tensors. Open for more: a new row here, a row in each target's table, a rounding rule in the reference. */
export const DTYPES = {
  f32: { bytes: 4, kind: 'float' },
  f16: { bytes: 2, kind: 'float' },
  i32: { bytes: 4, kind: 'integer' },
  u32: { bytes: 4, kind: 'integer' },
  bool: { bytes: 4, kind: 'boolean' },
} as const satisfies Record<string, { readonly bytes: number; readonly kind: 'float' | 'integer' | 'boolean' }>;

export type DType = keyof typeof DTYPES;

/** How elements lie in a buffer: a dtype, or `i8`, a whole number from -127 to 127, four to a word, which loads as f32 and is never stored by a kernel. */
export type StorageType = DType | 'i8';

export const isFloat = (dtype: DType): boolean => DTYPES[dtype].kind === 'float';
export const isInteger = (dtype: DType): boolean => DTYPES[dtype].kind === 'integer';
/** Bytes of one element in a GPU buffer (a bool is stored as a u32). */
export const byteSize = (stored: StorageType): number => (stored === 'i8' ? 1 : DTYPES[stored].bytes);
