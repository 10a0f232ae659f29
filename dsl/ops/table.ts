/** The op table: every primitive of the language. The only list of ops; names are its keys. */
import type { OpDefinition } from './definition.ts';
import { BINARY, OTHER_ELEMENTWISE, UNARY } from './elementwise.ts';
import { MOVEMENT } from './movement.ts';
import { REDUCTION } from './reduction.ts';
import { SOURCE } from './source.ts';

export const OPS = { ...SOURCE, ...UNARY, ...BINARY, ...OTHER_ELEMENTWISE, ...REDUCTION, ...MOVEMENT } as const satisfies Record<string, OpDefinition>;
export type OpName = keyof typeof OPS;
export type OpTable = Readonly<Record<OpName, OpDefinition>>;

export const isOpName = (op: string): op is OpName => Object.hasOwn(OPS, op);

/** The definition of a node's op. Throws on a name that is not in the table: only 'invalid' nodes have one, and they never get this far. */
export const definitionOf = (op: string, table: OpTable = OPS): OpDefinition => {
  if (!isOpName(op)) throw new Error(`invariant: there is no op '${op}'`);
  return table[op];
};
