/** Outputs that take the place of inputs: what the compiler accepts, and what it refuses. */
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { makeGraph } from '../dsl/graph/graph.ts';
import * as L from '../dsl/index.ts';
import { compile } from './compile.ts';
import { PROFILES } from './profile.ts';

const x = L.input('x', [1000]), y = L.input('y', [1000]);
const messages = (outputs: Readonly<Record<string, L.Tensor>>): readonly string[] => {
  const result = compile(makeGraph(outputs, [x, y]), { inPlace: true });
  return E.isLeft(result) ? result.left.map(({ message }) => message) : [];
};

describe('an output in place of an input', () => {
  test('is no output, and its kernel binds the input once, to change it', () => {
    const result = compile(makeGraph({ x: L.add(L.mul(x, 0.5), y), total: L.sum(y, 0) }, [x, y]), { inPlace: true });
    if (E.isLeft(result)) throw new Error(result.left[0].message);
    const { outputs, updates, dispatches, buffers, kernels } = result.right;
    expect([outputs.map(({ name }) => name), updates, buffers.filter(({ kind }) => kind === 'output').length]).toEqual([['total'], ['x'], 1]);
    const [first] = dispatches.filter(({ bindings }) => bindings.some(({ buffer }) => buffer === 0));
    expect(first!.bindings.map(({ buffer }) => buffer)).toEqual([1, 0]);
    expect(kernels[first!.kernel]!.bindings).toEqual(['read', 'read_write']);
  });
  test('of an adapter with small bindings is changed in windows', () => {
    const profile = { ...PROFILES.gpu, limits: { ...PROFILES.gpu.limits, maxStorageBufferBindingSize: 2048 } };
    const result = compile(makeGraph({ x: L.add(x, y) }, [x, y]), { inPlace: true, profile });
    if (E.isLeft(result)) throw new Error(result.left[0].message);
    const places = result.right.dispatches.map(({ bindings }) => bindings.map(({ buffer, offset }) => [buffer, offset] as const));
    expect(places.length).toBeGreaterThan(1);
    for (const [y, x] of places) expect([y![0], x![0], x![1]]).toEqual([1, 0, y![1]]);
  });
  test('is refused where an element needs others', () => {
    const turned = L.reshape(L.permute(L.reshape(x, [10, 100]), [1, 0]), [1000]);
    for (const other of [L.sum(x, 0), turned]) expect(messages({ x: L.add(L.add(x, other), y) })[0]).toContain('reads other elements of an input than those it changes in place');
  });
  test('is refused where another kernel reads the input later', () => {
    expect(messages({ x: L.add(x, y), late: L.sum(x, 0) })[0]).toMatch(/'x' is changed in place, but .* still reads it/);
  });
  test('is refused where the types differ', () => {
    expect(messages({ x: L.sum(y, 0) })).toEqual(["the output 'x' cannot take the place of the input 'x': one is f32[], the other f32[1000]"]);
  });
});
