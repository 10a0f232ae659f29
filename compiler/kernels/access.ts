/** Which tensors a kernel body touches, and how wide every access to each of them is. */
import type { StorageType } from '../../dsl/dtype.ts';
import type { Statement, TensorAccess } from '../../dsl/scalar/loop.ts';
import { subexpressions } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Index } from '../../dsl/scalar/index-expression.ts';
import { isAligned } from './widen.ts';

const expressionsOf = (statement: Statement): readonly S.Scalar[] => {
  switch (statement.kind) {
    case 'let': case 'var': case 'assign': case 'share': return [statement.value];
    case 'if': return [statement.condition, ...statement.body.flatMap(expressionsOf)];
    case 'for': return [...(statement.start ? [statement.start] : []), ...(statement.end ? [statement.end] : []), ...statement.body.flatMap(expressionsOf)];
    case 'put': return [statement.value, S.fromIndex(statement.index, 'i32')];
    case 'store': return [statement.value, S.fromIndex(statement.index, 'i32')];
    case 'combine': case 'barrier': return [];
  }
};
const storesOf = (statement: Statement): readonly { readonly tensor: number; readonly lanes: S.Lanes; readonly index: Index }[] =>
  statement.kind === 'store' ? [{ tensor: statement.tensor, lanes: statement.value.lanes, index: statement.index }]
  : statement.kind === 'for' || statement.kind === 'if' ? statement.body.flatMap(storesOf) : [];

/** Loads first, in order of appearance, then the output. A tensor is as wide as its accesses where they are of one width, else one element. */
export const accessesOf = (body: readonly Statement[], dtypes: (tensor: number) => StorageType, output: number): readonly TensorAccess[] => {
  const lanes = new Map<number, S.Lanes>();
  const note = (tensor: number, width: S.Lanes): void => { lanes.set(tensor, (lanes.get(tensor) ?? width) === width ? width : 1); };
  for (const e of body.flatMap(expressionsOf).flatMap(subexpressions)) if (e.kind === 'load') note(e.tensor, e.lanes);
  const read = lanes.get(output); // where the kernel changes a tensor in place
  lanes.delete(output);
  if (read !== undefined) lanes.set(output, read);
  for (const { tensor, lanes: width, index } of body.flatMap(storesOf)) note(tensor, isAligned(index, width) ? width : 1);
  return [...lanes].map(([tensor, width]) => ({ tensor, dtype: dtypes(tensor), access: tensor === output ? 'read_write' : 'read', lanes: width }));
};
