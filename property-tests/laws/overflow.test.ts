/**
 * Large activations under f16 storage: norms, softmax and residual streams stay finite and right where squares, sums and masked scores are
 * far beyond 65504, fused or not. Run as loops in JavaScript, and on the device where it has f16.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { CompileOptions } from '../../compiler/compile.ts';
import { PROFILES } from '../../compiler/profile.ts';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { relativeError } from '../../compiler/reference/compare.ts';
import { type Graph, inputName, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { add, attention, input, layerNorm, linear, mul, parameter, rmsNorm, silu } from '../../dsl/index.ts';
import { elementsOf } from '../generators/elements.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data, type Results, runProgram } from '../harness/run-program.ts';

const N = 12, D = 48;
const x = input('x', [N, D]), [w, v, u] = [parameter('w', [D, D]), parameter('v', [D, D]), parameter('u', [D, D])];
const [gain, shift] = [parameter('gain', [D]), parameter('shift', [D])];
/** An activation that is stored as f16: as large as x. */
const h = linear(x, w);

/** Weights keep the size of what they multiply; x goes up to `largest`. */
const dataOf = (graph: Graph, largest: number): Data =>
  Object.fromEntries(
    [...graph.inputs, ...graph.parameters].map((node: Node, i) => {
      const scale = node === (x as Node) ? largest / 3 : 0.6 * D ** -0.5;
      return [inputName(node), Float32Array.from(elementsOf(i + 1, countOf(shapeOf(node)), 'f32', 'plain'), (value) => value * scale)];
    }),
  );

const GRAPHS: Readonly<Record<string, Graph>> = {
  'an RMS norm': makeGraph({ y: linear(rmsNorm(h, gain), v) }, [x]),
  'a layer norm': makeGraph({ y: linear(layerNorm(h, gain, shift), v) }, [x]),
  'a residual stream': makeGraph({ y: linear(rmsNorm(add(h, linear(silu(linear(rmsNorm(h, gain), v)), u)), gain), v) }, [x]),
  'masked attention': makeGraph({ y: linear(attention(rmsNorm(h, gain), rmsNorm(linear(h, v), gain), h, { causal: true }), u) }, [x]),
};

const F16: CompileOptions = { precision: 'f16', profile: { ...PROFILES.cpu, features: ['shader-f16'] } };

const expectRight = (graph: Graph, data: Data, got: Results): void => {
  const want = evaluate(graph, data)['y']!.data;
  expect(Array.from(got['y']!).every(Number.isFinite)).toBe(true);
  expect(relativeError(got['y']!, want).relrms).toBeLessThan(2 ** -7); // roundings of 2^-11 in up to eight stored tensors
};

describe.each(Object.entries(GRAPHS))('%s', (_name, graph) => {
  const data = dataOf(graph, 4e4);

  test('reads numbers whose squares f16 cannot hold', () => {
    const largest = Math.max(...evaluate(makeGraph({ h }, [x]), data)['h']!.data.map(Math.abs));
    expect(largest).toBeGreaterThan(1e4);
    expect(largest).toBeLessThan(65504);
  });

  test.each([true, false])('as loops in JavaScript, fusion %s', (fusion) => {
    const made = compiled(graph, { ...F16, fusion });
    expect([...made.kernels.tensors.values()].some(({ node, dtype }) => dtype === 'f16' && node.op !== 'input')).toBe(true);
    expectRight(graph, data, interpret(made, data));
  });

  describe('on the device', () => {
    let target: TestDevice;
    beforeAll(async () => {
      target = await testDevice();
    });
    test.for([true, false])('fusion %s', async (fusion, { skip }) => {
      if (!target.profile.features.includes('shader-f16')) skip('the adapter lacks shader-f16');
      expectRight(graph, data, await runProgram(target, compiled(graph, { ...F16, profile: target.profile, fusion }).program, data));
    });
  });
});

test.each([true, false])('softmax over scores beyond 65504 still gives weights, fusion %s', (fusion) => {
  const values = input('values', [N, D]),
    graph = makeGraph({ y: attention(rmsNorm(h, gain), linear(h, v), values, { causal: true }), scores: linear(rmsNorm(h, gain), linear(h, v)) }, [x, values]);
  const data = { ...dataOf(graph, 6e4), values: new Float32Array(N * D).fill(1), gain: new Float32Array(D).fill(5) };
  expect(Math.max(...evaluate(graph, data)['scores']!.data.map(Math.abs)) * D ** -0.5).toBeGreaterThan(65504);
  // a mean of ones is one, whatever the weights are
  const off = Array.from(interpret(compiled(graph, { ...F16, fusion }), data)['y']!, (y) => Math.abs(y - 1));
  expect(Math.max(...off)).toBeLessThan(2 ** -9);
});

test('what f16 cannot hold saturates instead of becoming infinite', () => {
  const graph = makeGraph({ y: mul(h, 0.5) }, [x]);
  const data = { x: new Float32Array(N * D).fill(1e6), w: Float32Array.from({ length: D * D }, (_, i) => (i % (D + 1) === 0 ? (i % 2 === 0 ? 1 : -1) : 0)) };
  const y = interpret(compiled(graph, { ...F16, fusion: false }), data)['y']!;
  expect(new Set(Array.from(y))).toEqual(new Set([32752, -32752]));
});
