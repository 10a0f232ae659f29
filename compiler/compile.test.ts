import * as E from 'fp-ts/Either';
import { describe, expect, it } from 'vitest';
import { add, cast, concat, exp, expand, input, matmul, mul, parameter, reshape, softmax, sum } from '../dsl/index.ts';
import { makeGraph } from '../dsl/graph/graph.ts';
import type { Node } from '../dsl/graph/node.ts';
import { compile, explain } from './compile.ts';
import { showCompileError } from './errors.ts';
import { DEFAULT_LIMITS, PROFILES } from './profile.ts';
import { summarize } from './program.ts';
import { SCHEDULES } from './schedule.ts';

const messages = (result: ReturnType<typeof compile>): readonly string[] => (E.isLeft(result) ? result.left.map(showCompileError) : []);
const programOf = (graph: ReturnType<typeof makeGraph>, options: Parameters<typeof compile>[1] = {}) => {
  const result = compile(graph, options);
  if (E.isLeft(result)) throw new Error(messages(result).join('\n'));
  return result.right;
};
const untyped = (build: (...operands: never[]) => unknown) => build as (...operands: unknown[]) => Node; // wrong on purpose

describe('compile', () => {
  const x = input('x', ['B', 16]);

  it('reports every mistake, each with the line that made it', () => {
    const bad = untyped(matmul)(x, parameter('w', [4, 4])), worse = untyped(add)(x, input('z', [3]));
    const found = messages(compile(makeGraph({ bad, worse })));
    expect(found).toHaveLength(2);
    expect(found[0]).toMatch(/^matmul: inner differs: 16 vs 4/);
    expect(found[0]).toContain('compile.test.ts');
    expect(found[1]).toMatch(/^add: cannot broadcast \[B, 16\] with \[3\]/);
  });

  it('asks for the size of a symbol', () => {
    expect(messages(compile(makeGraph({ y: exp(x) })))).toEqual(["the size of 'B' is not known; give it in 'sizes'"]);
  });

  it('refuses f16 where the adapter has none', () => {
    expect(messages(compile(makeGraph({ y: cast(x, 'f16') }), { sizes: { B: 2 } }))[0]).toMatch(/lacks the feature 'shader-f16'/);
  });

  it('tiles a matmul of what is repeated, too', () => {
    const w = parameter('w', [64, 64]), once = input('x', [64, 64]);
    const twice = reshape(expand(reshape(once, [1, 64, 64]), [2, 64, 64]), [128, 64]);
    const [{ workgroupSize } = { workgroupSize: [] }] = programOf(makeGraph({ y: matmul(reshape(twice, [2, 64, 64]), w) })).kernels;
    expect(workgroupSize).toEqual([8, 8, 1]);
  });

  it('keeps equal kernels once', () => {
    const w = parameter('w', [16, 16]);
    const twice = programOf(makeGraph({ y: matmul(matmul(x, w), w) }), { sizes: { B: 8 } });
    expect([twice.dispatches.length, twice.kernels.length]).toEqual([2, 1]);
  });

  it('fuses a softmax into one kernel, and none with fusion off', () => {
    const graph = makeGraph({ y: softmax(mul(x, 2), -1) });
    expect(programOf(graph, { sizes: { B: 8 } }).dispatches).toHaveLength(1);
    expect(programOf(graph, { sizes: { B: 8 }, fusion: false }).dispatches.length).toBeGreaterThan(4);
  });

  it('computes nothing for views, and gives an output its own memory', () => {
    const program = programOf(makeGraph({ y: reshape(exp(x), ['2*B', 8]), z: x }), { sizes: { B: 8 } });
    expect(program.dispatches).toHaveLength(2); // exp, and a copy of x
    expect(program.outputs.map((port) => port.shape)).toEqual([[16, 8], [8, 16]]);
  });

  it('reuses the memory of what is no longer needed', () => {
    const w = parameter('w', [16, 16]);
    let y = matmul(x, w);
    for (let i = 0; i < 6; i++) y = matmul(y, w);
    const program = programOf(makeGraph({ y }), { sizes: { B: 8 } });
    expect(program.buffers.filter((buffer) => buffer.kind === 'scratch')).toHaveLength(2);
  });

  it('splits what passes a binding limit, and reads no more than the limit at once', () => {
    const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 4096 };
    const program = programOf(makeGraph({ y: exp(input('x', [64, 64])) }), { profile: { ...PROFILES.gpu, limits } });
    expect(program.dispatches.length).toBe(4);
    expect(summarize(program).largestBinding).toBe(4096);
  });

  it('names the limit and the tensor where nothing can be split', () => {
    const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 1024 };
    const found = messages(compile(makeGraph({ y: sum(exp(input('x', [64, 64])), [0, 1]) }), { profile: { ...PROFILES.gpu, limits } }));
    expect(found[0]).toMatch(/sum \[\].*maxStorageBufferBindingSize of 1024 bytes/);
  });

  it('stores something in between when a kernel would bind too many tensors', () => {
    const parts = Array.from({ length: 12 }, (_, i) => input(`x${i}`, [4]));
    const total = parts.slice(1).reduce<Node>((a, b) => untyped(add)(a, b), parts[0]!);
    const { program } = ((): Extract<ReturnType<typeof explain>, { _tag: 'Right' }>['right'] => {
      const result = explain(makeGraph({ y: total, z: untyped(concat)(parts, 0) }));
      if (E.isLeft(result)) throw new Error(result.left.map(showCompileError).join('\n'));
      return result.right;
    })();
    expect(Math.max(...program.kernels.map((kernel) => kernel.bindings.length))).toBeLessThanOrEqual(8);
  });

  it('keeps workgroups within the limits of the adapter', () => {
    const limits = { ...DEFAULT_LIMITS, maxComputeInvocationsPerWorkgroup: 32, maxComputeWorkgroupSizeX: 16, maxComputeWorkgroupStorageSize: 32 };
    const graph = makeGraph({ y: softmax(matmul(x, parameter('w', [16, 256])), -1) });
    for (const adapterClass of ['cpu', 'gpu'] as const) {
      const { kernels } = programOf(graph, { sizes: { B: 64 }, profile: { ...PROFILES[adapterClass], limits } });
      for (const { workgroupSize: [wx, wy, wz] } of kernels) expect([wx * wy * wz <= 32, wx <= 16]).toEqual([true, true]);
    }
  });

  it('says why each tensor has memory', () => {
    const result = explain(makeGraph({ y: matmul(exp(x), parameter('w', [16, 64])) }), { sizes: { B: 64 }, schedule: SCHEDULES.cpu });
    const reasons = E.isRight(result) ? [...result.right.kernels.fusion.reasons].map(([node, reason]) => `${node.op}: ${reason}`) : [];
    expect(reasons).toContain('exp: read many times, cheaper to keep than to compute again');
  });
});
