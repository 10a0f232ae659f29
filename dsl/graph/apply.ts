/**
 * `apply`: makes a node of any op after running its shape rule.
 *
 * Builders are total: a call that breaks the rule makes an `invalid` node that carries the message and the caller's line;
 * `compile` collects all of them. A node with an invalid input is invalid without a message of its own.
 */
import { definitionOf } from '../ops/table.ts';
import type { Attributes, Node } from './node.ts';
import { intern } from './node.ts';

/** This file as a stack names it; in a bundle that is the whole package. */
const ownFile = (import.meta.url ?? '').replace(/^file:\/\/|[?#].*$/g, '');
const isOurs = (line: string): boolean =>
  /[/\\]dsl[/\\](graph|ops|language|nn|module|shape|tensor)/.test(line) || (ownFile !== '' && line.includes(ownFile));

/** The first line of the stack outside the language itself. */
const callerLine = (): string => {
  const lines = (new Error().stack ?? '').split('\n').slice(1);
  const outside = lines.find((line) => !isOurs(line) || /\.test\.ts/.test(line));
  return (outside ?? '').trim().replace(/^at /, '');
};

/** A node that stands for a refused call. */
export const invalid = (message: string, inputs: readonly Node[] = []): Node =>
  intern('invalid', inputs, { message, at: message === '' ? '' : callerLine() }, { shape: [], dtype: 'f32' });

export const apply = (op: string, inputs: readonly Node[], attributes: Attributes): Node => {
  if (inputs.some((input) => input.op === 'invalid')) return invalid('', inputs);
  const type = definitionOf(op).infer(inputs, attributes);
  return typeof type === 'string' ? invalid(type, inputs) : intern(op, inputs, attributes, type);
};
