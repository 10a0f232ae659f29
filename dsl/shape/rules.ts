/**
 * Shape rules: what each operation does to shapes, or the message that says why it cannot.
 *
 * Each rule exists as a type and as a function of the same name (`ReshapeRule`, `reshapeRule`) in the same place, on numbers and on
 * symbols alike; `property-tests/types` checks that they agree, messages included.
 */
export * from './rules/axes.ts';
export * from './rules/literal.ts';
export * from './rules/parts.ts';
export * from './rules/products.ts';
export * from './rules/sizes.ts';
export { einopsRule, einsumRule, signatureRule } from './signature.ts';
export type { EinopsRule, EinsumRule, Signature } from './signature.ts';
