/** PyTorch's names of number formats, in the words of weight files. */
import type { FileDType } from './dtype.ts';

const byStorage: ReadonlyMap<string, FileDType> = new Map([
  ['DoubleStorage', 'F64'], ['FloatStorage', 'F32'], ['HalfStorage', 'F16'], ['BFloat16Storage', 'BF16'], ['LongStorage', 'I64'],
  ['IntStorage', 'I32'], ['ShortStorage', 'I16'], ['CharStorage', 'I8'], ['ByteStorage', 'U8'], ['BoolStorage', 'BOOL'],
  // counted in bytes; the tensor names its own format
  ['UntypedStorage', 'U8'],
]); // prettier-ignore

const byName: ReadonlyMap<string, FileDType> = new Map([
  ['float64', 'F64'], ['double', 'F64'], ['float32', 'F32'], ['float', 'F32'], ['float16', 'F16'], ['half', 'F16'], ['bfloat16', 'BF16'],
  ['float8_e4m3fn', 'F8_E4M3'], ['float8_e5m2', 'F8_E5M2'], ['int64', 'I64'], ['int32', 'I32'], ['int16', 'I16'], ['int8', 'I8'],
  ['uint64', 'U64'], ['uint32', 'U32'], ['uint16', 'U16'], ['uint8', 'U8'], ['bool', 'BOOL'],
]); // prettier-ignore

/** The format of `torch.FloatStorage` and its kin, `torch.cuda.FloatStorage` and `torch.storage.UntypedStorage` included. */
export const dtypeOfStorage = (name: string): FileDType | undefined => {
  const [, type] = /^torch\.(?:cuda\.|storage\.)?(\w+Storage)$/.exec(name) ?? [];
  return type === undefined ? undefined : byStorage.get(type);
};

/** The format of `torch.float32` and its kin. */
export const dtypeOfTorch = (name: string): FileDType | undefined =>
  name.startsWith('torch.') ? byName.get(name.slice('torch.'.length)) : undefined;
