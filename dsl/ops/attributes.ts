/** Reading attributes. Builders and the parser put them there; a wrong kind is our bug, so these throw. */
import type { DType } from '../dtype.ts';
import type { Attributes, Literal } from '../graph/node.ts';
import type { Dim } from '../shape/dim.ts';

const wrong = (name: string, attributes: Attributes): never => {
  throw new Error(`invariant: attribute '${name}' is missing or of the wrong kind in ${Object.keys(attributes).join(', ')}`);
};

export const numberAttribute = (attributes: Attributes, name: string): number => {
  const value = attributes[name];
  return typeof value === 'number' ? value : wrong(name, attributes);
};
export const textAttribute = (attributes: Attributes, name: string): string => {
  const value = attributes[name];
  return typeof value === 'string' ? value : wrong(name, attributes);
};
export const dimsAttribute = (attributes: Attributes, name: string): readonly Dim[] => {
  const value = attributes[name];
  return Array.isArray(value) ? (value as readonly Dim[]) : wrong(name, attributes);
};
/** Dims after sizes were bound. */
export const numbersAttribute = (attributes: Attributes, name: string): readonly number[] => {
  const value = attributes[name];
  return Array.isArray(value) && value.every((item) => typeof item === 'number') ? value : wrong(name, attributes);
};
export const dimAttribute = (attributes: Attributes, name: string): Dim => {
  const value = attributes[name];
  return typeof value === 'number' || typeof value === 'string' ? value : wrong(name, attributes);
};
export const dtypeAttribute = (attributes: Attributes): DType => textAttribute(attributes, 'dtype') as DType; // checked by `infer`
export const literalAttribute = (attributes: Attributes): Literal => {
  const value = attributes['data'];
  return typeof value === 'object' && 'literal' in value ? value : wrong('data', attributes);
};
