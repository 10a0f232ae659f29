/**
 * What the adapter can do at most, measured: float32 arithmetic in registers, and memory read and written in a stream.
 *
 * The kernel of the arithmetic is written by hand, since no tensor program is free of memory.
 */
import { add, compile, input, load, makeGraph, upload } from '../../dist/index.js';
import { orThrow } from '../ours/session.mjs';

const CHAINS = 8; // independent ones, so that latencies overlap

const arithmeticWgsl = (iterations) => {
  const each = (text) => Array.from({ length: CHAINS }, (_, i) => text(i)).join('\n');
  return `
@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = vec4<f32>(1.0 - f32(id.x) * 1e-9);
  let term = vec4<f32>(f32(id.x) * 1e-9);
${each((i) => `  var x${i} = vec4<f32>(f32(id.x + ${i}u));`)}
  for (var i = 0u; i < ${iterations}u; i++) {
${each((i) => `    x${i} = fma(x${i}, factor, term);`)}
  }
  out[id.x] = ${Array.from({ length: CHAINS }, (_, i) => `x${i}`).join(' + ')};
}`;
};

const arithmeticProgram = (workgroups, iterations) => {
  const bytes = workgroups * 64 * 16;
  return {
    format: 'pixnerd-program', version: 1, name: 'arithmetic', inputs: [], parameters: [], outputs: [{ name: 'out', shape: [workgroups * 256], dtype: 'f32', buffer: 0 }],
    buffers: [{ kind: 'output', label: 'out', bytes }], kernels: [{ name: 'arithmetic', wgsl: arithmeticWgsl(iterations), workgroupSize: [64, 1, 1], bindings: ['read_write'] }],
    dispatches: [{ kernel: 0, bindings: [{ buffer: 0, offset: 0, bytes }], workgroups: [workgroups, 1, 1], label: 'fused multiply-add' }], limits: {}, features: [],
  };
};

/** The least milliseconds of the one dispatch of a program, by timestamps. */
const leastTime = async (device, program, inputs, runs = 7) => {
  const session = await orThrow(load(device, program));
  let least = Infinity;
  for (let i = 0; i < runs; i++) {
    const outputs = await orThrow(session.run(inputs, { profile: ([{ nanoseconds }]) => { least = Math.min(least, nanoseconds / 1e6); } }));
    for (const output of Object.values(outputs)) output.dispose();
  }
  session.dispose();
  return least;
};

const arithmetic = async (device, small) => {
  const workgroups = small ? 64 : 8192, iterations = small ? 256 : 4096;
  const ms = await leastTime(device, arithmeticProgram(workgroups, iterations), {});
  return (workgroups * 64 * iterations * CHAINS * 4 * 2) / ms / 1e6;
};

const bandwidth = async ({ device, profile }, small) => {
  const count = Math.min(small ? 2 ** 20 : 2 ** 27, profile.limits.maxStorageBufferBindingSize / 4), x = input('x', ['n']);
  const program = await orThrow(async () => compile(makeGraph({ out: add(x, 1) }, [x]), { name: 'stream', sizes: { n: count }, profile }));
  const tensor = await orThrow(upload(device, [count], 'f32', new Float32Array(count)));
  const ms = await leastTime(device, program, { x: tensor });
  tensor.dispose();
  return (8 * count) / ms / 1e6;
};

/** { gflops, gigabytesPerSecond } */
export const roofline = async (opened, small) => ({ gflops: await arithmetic(opened.device, small), gigabytesPerSecond: await bandwidth(opened, small) });
