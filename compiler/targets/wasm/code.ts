/**
 * A function under construction: locals, and code for the places where it can go.
 *
 * A scope is the body of a loop, or the function itself. Values that depend only on variables of a scope and those around it are computed
 * at its head, once a round, however often they are used inside: engines do not move code out of loops.
 */
import { OP, signed, unsigned, type WasmType } from './encode.ts';

export interface Scope {
  /** Computed first in each round. */
  readonly head: number[];
  readonly body: number[];
  /** Locals that hold a value here, by what it is. */
  readonly known: Map<string, number>;
  /** Variables that are bound here. */
  readonly variables: Set<number>;
}

export interface Code {
  readonly locals: WasmType[];
  readonly scopes: Scope[];
  /** Where code goes now. */
  out: number[];
}

export const newScope = (variables: readonly number[] = []): Scope => ({ head: [], body: [], known: new Map(), variables: new Set(variables) });

/** A new local of a function with that many parameters. */
export const newLocal = (code: Code, parameters: number, type: WasmType): number => parameters + code.locals.push(type) - 1;

export const emit = (code: Code, ...bytes: readonly number[]): void => {
  for (let i = 0; i < bytes.length; i++) code.out.push(bytes[i]!); // i < length
};
export const get = (code: Code, local: number): void => emit(code, OP.localGet, ...unsigned(local));
export const set = (code: Code, local: number): void => emit(code, OP.localSet, ...unsigned(local));
export const tee = (code: Code, local: number): void => emit(code, OP.localTee, ...unsigned(local));
export const integer = (code: Code, value: number): void => emit(code, OP.i32Const, ...signed(value));

/** Depth of the innermost scope that binds one of the variables; 0 where none does. */
export const depthOf = (code: Code, variables: Iterable<number>): number => {
  let depth = 0;
  for (const id of variables) {
    const at = code.scopes.findLastIndex((scope) => scope.variables.has(id));
    if (at < 0) throw new Error(`invariant: variable ${id} is used outside its loop`);
    depth = Math.max(depth, at);
  }
  return depth;
};

/** The local of a value at the head of scope `depth`; `write` leaves the value on the stack. */
export const hoisted = (code: Code, depth: number, key: string, local: () => number, write: () => void): number => {
  const scope = code.scopes[depth]!; // callers got the depth from the scopes
  const known = scope.known.get(key);
  if (known !== undefined) return known;
  const outside = code.out;
  const made: number[] = [];
  code.out = made;
  write();
  const home = local();
  set(code, home);
  code.out = outside;
  for (const byte of made) scope.head.push(byte);
  scope.known.set(key, home);
  return home;
};
