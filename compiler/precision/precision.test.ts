import * as E from 'fp-ts/Either';
import { describe, expect, it } from 'vitest';
import { apply } from '../../dsl/graph/apply.ts';
import { inputName, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { OPS } from '../../dsl/ops/table.ts';
import { add, attention, embedding, exp, input, linear, matmul, mul, parameter, reshape, rmsNorm, silu, softmax, sum, transpose } from '../../dsl/index.ts';
import { type Compilation, compile, type CompileOptions, explain } from '../compile.ts';
import { showCompileError } from '../errors.ts';
import { PROFILES } from '../profile.ts';
import { needsHalf, policyOf, weightFormat } from './policy.ts';
import { quantiseWeights, scaleName } from './quantise.ts';
import { classesOf } from './storage.ts';

const profile = { ...PROFILES.cpu, features: ['shader-f16'] };
const made = (graph: ReturnType<typeof makeGraph>, options: CompileOptions): Compilation => {
  const result = explain(graph, { profile, ...options });
  if (E.isLeft(result)) throw new Error(result.left.map(showCompileError).join('\n'));
  return result.right;
};
const messages = (options: object, graph = makeGraph({ y: exp(input('x', [4])) })): readonly string[] => {
  const result = compile(graph, options);
  return E.isLeft(result) ? result.left.map(showCompileError) : [];
};

const x = input('x', [8, 16]), w = parameter('w', [16, 16]), v = parameter('v', [16, 16]), gain = parameter('gain', [16]), bias = parameter('bias', [16]);

describe('classes of tensors', () => {
  const hidden = silu(linear(rmsNorm(x, gain), w)), stream = add(x, linear(hidden, v)), next = add(stream, linear(rmsNorm(stream, gain), w));
  const classOf = classesOf(makeGraph({ y: next }, [x]), OPS);

  it('are found from what a tensor is made of and read by', () => {
    expect([x, next, w, v, gain, hidden, stream].map(classOf)).toEqual(['port', 'port', 'weight', 'weight', 'vector', 'activation', 'residual']);
  });

  it('keep squares and statistics apart from what they are of', () => {
    const h = linear(x, w), square = mul(h, h), total = sum(square, -1), classes = classesOf(makeGraph({ y: mul(h, 2), z: mul(total, 2) }, [x]), OPS);
    expect([h, square, total].map(classes)).toEqual(['activation', 'statistic', 'statistic']);
  });

  it('take the scores under a softmax for statistics, masked or not, and its weights for activations', () => {
    const scores = linear(x, w), weights = softmax(scores, -1), classes = classesOf(makeGraph({ y: matmul(weights, parameter('u', [16, 4])) }, [x]), OPS);
    expect([scores, weights as Node].map(classes)).toEqual(['statistic', 'activation']);
  });

  it('see an output through its reshape', () => {
    const h = linear(x, w);
    expect(classesOf(makeGraph({ y: reshape(h, [128]) }, [x]), OPS)(h)).toBe('port');
  });

  it('do not take a shift or a bias for a residual stream', () => {
    const condition = linear(parameter('c', [1, 16]), w), shifted = add(linear(mul(rmsNorm(x, gain), condition), v), condition);
    const classes = classesOf(makeGraph({ y: linear(add(shifted, bias), w) }, [x]), OPS);
    expect([classes(condition), classes(shifted)]).toEqual(['activation', 'activation']);
  });
});

describe('policies', () => {
  it('leave ports, tables and statistics f32', () => {
    for (const precision of ['f32', 'mixed', 'f16'] as const) {
      const { port, table, statistic } = policyOf({ precision });
      expect([port, table, statistic]).toEqual(['f32', 'f32', 'f32']);
    }
  });

  it('let weights be chosen apart', () => {
    expect([weightFormat({}), weightFormat({ precision: 'mixed' }), weightFormat({ precision: 'mixed', weights: 'f32' }), weightFormat({ weights: 'int8' })])
      .toEqual(['f32', 'f16', 'f32', 'int8']);
    expect([needsHalf({}), needsHalf({ weights: 'int8' }), needsHalf({ weights: 'f16' }), needsHalf({ precision: 'mixed', weights: 'int8' })]).toEqual([false, false, true, true]);
  });

  it('halve the bytes of weights, and no policy changes a border', () => {
    const graph = makeGraph({ y: add(linear(x, w), bias) }, [x]);
    const bytes = (options: CompileOptions) => made(graph, options).program.parameters.map(({ dtype, buffer }, _, all) => [dtype, made(graph, options).program.buffers[buffer]!.bytes, all.length]);
    expect(bytes({})).toEqual([['f32', 1024, 2], ['f32', 64, 2]]);
    expect(bytes({ precision: 'mixed' })).toEqual([['f16', 512, 2], ['f32', 64, 2]]);
    expect(bytes({ weights: 'int8', packFrom: 1 })).toEqual([['i8', 256, 3], ['f32', 64, 3], ['f32', 64, 3]]);
    for (const precision of ['mixed', 'f16'] as const) {
      const { inputs, outputs, features } = made(graph, { precision }).program;
      expect([inputs[0]!.dtype, outputs[0]!.dtype, features]).toEqual(['f32', 'f32', ['shader-f16']]);
    }
  });

  it('are refused by their names, and where the adapter has no f16', () => {
    expect(messages({ precision: 'half', weights: 'int4' })).toEqual(['precision is "half"; it must be f32, mixed or f16', 'weights is "int4"; it must be f32, f16 or int8']);
    expect(messages({ weights: 'int8', packFrom: -1 })).toEqual(['packFrom is -1; it must be a number of elements']);
    expect(messages({ precision: 'mixed', weights: 'f32' })[0]).toMatch(/^precision mixed with f32 weights stores tensors as f16, but the adapter lacks the feature 'shader-f16'; use f32 or another adapter$/);
    expect(messages({ weights: 'int8' })).toEqual([]);
  });
});

describe('int8 weights', () => {
  const packed = (...outputs: readonly Node[]): readonly string[] => {
    const graph = quantiseWeights(makeGraph(Object.fromEntries(outputs.map((node, i) => [`y${i}`, node]))), 1);
    return graph.parameters.map(inputName);
  };

  it('get a scale for each row, which leaves the sum', () => {
    const graph = quantiseWeights(makeGraph({ y: linear(x, w) }, [x]), 1), { node } = graph.outputs[0]!;
    expect(graph.parameters.map((port) => [inputName(port), port.shape])).toEqual([['w', [16, 16]], [scaleName('w'), [16]]]);
    expect([node.op, node.inputs.map(({ op }) => op)]).toEqual(['mul', ['einsum', 'expand']]);
  });

  it('may be any operand, and be used by several', () => {
    expect(packed(apply('einsum', [w, x], { pattern: 'o i, n i -> o n' }), linear(x, w))).toEqual(['w', scaleName('w')]);
  });

  it('are left alone where rows are not contiguous, or something else reads them', () => {
    expect(packed(matmul(x, w))).toEqual(['w']);
    expect(packed(linear(x, transpose(w, 0, 1)))).toEqual(['w']);
    expect(packed(linear(x, w), exp(w))).toEqual(['w']);
    expect(packed(linear(x, w), w)).toEqual(['w']);
    expect(packed(linear(x, w), embedding(w, input('at', [3], 'i32')))).toEqual(['w']);
  });

  it('are left alone where they are small', () => {
    const large = parameter('large', [128, 128]), { program } = made(makeGraph({ y: linear(linear(input('x', [8, 128]), large), parameter('small', [4, 128])) }), { weights: 'int8' });
    expect(program.parameters.map(({ name, dtype }) => [name, dtype])).toEqual([['large', 'i8'], [scaleName('large'), 'f32'], ['small', 'f32']]);
  });

  it('are unpacked where they are loaded: no tensor holds them as floats', () => {
    const { kernels, program } = made(makeGraph({ y: linear(x, w) }, [x]), { weights: 'int8', packFrom: 1 });
    expect(kernels.kernels).toHaveLength(1);
    expect(program.kernels[0]!.wgsl).toContain('bytes_of(');
    expect(program.buffers.filter(({ kind }) => kind === 'scratch')).toEqual([]);
  });
});

describe('stores of f16', () => {
  it('saturate', () => {
    const wgsl = made(makeGraph({ y: linear(silu(linear(x, w)), v) }, [x]), { precision: 'f16' }).program.kernels.map((kernel) => kernel.wgsl).join('\n');
    expect(wgsl).toMatch(/f16>?\(clamp\(/);
  });

  it('are none of the scores of attention, which may be masked with -1e30', () => {
    const q = reshape(linear(x, w), [1, 8, 16]), { kernels } = made(makeGraph({ y: attention(q, q, q, { causal: true }) }, [x]), { precision: 'f16', fusion: false });
    const masked = [...kernels.tensors.values()].filter(({ node }) => node.op === 'select');
    expect(masked.map(({ dtype }) => dtype)).toEqual(['f32']);
  });
});
