/** From planned kernels and memory to a `Program`: buffers, shader text, dispatches. Equal shaders are kept once. */
import { byteSize, type DType } from '../dsl/dtype.ts';
import { toBase64 } from '../dsl/graph/base64.ts';
import { type Graph, inputName } from '../dsl/graph/graph.ts';
import type { Node } from '../dsl/graph/node.ts';
import { literalAttribute } from '../dsl/ops/attributes.ts';
import type { LoopKernel } from '../dsl/scalar/loop.ts';
import type { KernelPlan, PlannedKernel, StoredTensor } from './kernels/plan-kernels.ts';
import { bufferBytes, type MemoryPlan } from './memory.ts';
import type { BufferPlan, Dispatch, Kernel, ParameterPlan, PortPlan, Program, ProgramOf, WasmProgram } from './program.ts';
import { printModule } from './targets/wasm/module.ts';
import { printWgsl } from './targets/wgsl.ts';
import { toHalf } from './half.ts';
import { scaleName } from './precision/quantise.ts';

const elementBytes = (data: Float64Array, dtype: DType): Uint8Array => {
  const array = dtype === 'f32' ? Float32Array.from(data) : dtype === 'f16' ? Uint16Array.from(data, toHalf)
    : dtype === 'i32' ? Int32Array.from(data) : Uint32Array.from(data, (x) => (dtype === 'bool' ? Number(x !== 0) : x));
  return new Uint8Array(array.buffer);
};

const padded = (bytes: Uint8Array, length: number): Uint8Array => {
  if (bytes.length === length) return bytes;
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
};

/** Which kernel of a target each planned one is, given the target's kernels so far. */
type Printed<K> = { readonly kernels: readonly K[]; readonly indexOf: (planned: PlannedKernel) => number };

/** Shader text of each kernel; equal ones are kept once. */
const shadersOf = (planned: readonly PlannedKernel[]): Printed<Kernel> => {
  const kernels: Kernel[] = [];
  const known = new Map<string, number>();
  const texts = new Map<LoopKernel, string>();
  const indices = new Map(planned.map((one) => {
    const wgsl = texts.get(one.loop) ?? printWgsl(one.loop, one.workgroups);
    texts.set(one.loop, wgsl);
    const key = `${one.workgroups.join()}\n${wgsl}`;
    if (!known.has(key)) known.set(key, kernels.push({ name: one.name, wgsl, workgroupSize: one.loop.workgroupSize, bindings: one.loop.tensors.map((t) => t.access) }) - 1);
    return [one, known.get(key)!] as const;
  }));
  return { kernels, indexOf: (one) => indices.get(one)! };
};

/** A program of shaders. */
export const assemble = (name: string, graph: Graph, plan: KernelPlan, memory: MemoryPlan): Program => assembled(name, graph, plan, memory, shadersOf(plan.kernels));

/** A program of one module of WebAssembly. */
export const assembleWasm = (name: string, graph: Graph, plan: KernelPlan, memory: MemoryPlan): WasmProgram => {
  const { module, scratchBytes, ...printed } = printModule(plan.kernels);
  return { ...assembled(name, graph, plan, memory, printed), limits: {}, features: [], target: 'wasm', module: toBase64(module), scratchBytes };
};

const assembled = <K>(name: string, graph: Graph, plan: KernelPlan, memory: MemoryPlan, { kernels, indexOf }: Printed<K>): ProgramOf<K> => {
  const buffers: BufferPlan[] = [];
  const bufferOf = new Map<number, number>();
  const add = (tensors: readonly number[], buffer: BufferPlan): number => {
    for (const tensor of tensors) bufferOf.set(tensor, buffers.length);
    buffers.push(buffer);
    return buffers.length - 1;
  };
  const all = [...plan.tensors.values()];
  const leaf = (op: string) => all.filter(({ node, id }) => node.op === op && !plan.outputs.includes(id));

  const fromCaller = leaf('input');
  const filled = (node: Node, kind: 'input' | 'parameter'): ParameterPlan => {
    const tensor = fromCaller.find((candidate) => candidate.node === node)!; // every input of the graph is stored
    const buffer = add([tensor.id], { kind, label: inputName(node), bytes: bufferBytes(tensor) });
    return { name: inputName(node), shape: node.shape as readonly number[], dtype: tensor.dtype, buffer, ...(tensor.dtype === 'i8' && { scale: scaleName(inputName(node)) }) };
  };
  const inputs = graph.inputs.map((node): PortPlan => ({ ...filled(node, 'input'), dtype: node.dtype })); // no policy changes what the caller sees
  const parameters = graph.parameters.map((node) => filled(node, 'parameter'));
  for (const tensor of leaf('literal').filter(({ id }) => memory.lifetimes.has(id))) {
    const bytes = bufferBytes(tensor);
    const data = toBase64(padded(elementBytes(literalAttribute(tensor.node.attributes).data, tensor.node.dtype), bytes));
    add([tensor.id], { kind: 'constant', label: tensor.node.scope === '' ? 'constant' : tensor.node.scope, bytes, data });
  }
  for (const { bytes, tensors } of memory.slots) {
    add(tensors, { kind: 'scratch', label: tensors.map((id) => labelOf(plan.tensors.get(id)!)).join(' | '), bytes });
  }
  for (const [output, input] of plan.updates) bufferOf.set(output, bufferOf.get(input)!);
  const returned = graph.outputs.map((output, i) => ({ ...output, tensor: plan.outputs[i]! })).filter(({ tensor }) => !plan.updates.has(tensor));
  const updates = graph.outputs.filter((_, i) => plan.updates.has(plan.outputs[i]!)).map((output) => output.name);
  const outputs = returned.map(({ name: output, node, tensor: id }): PortPlan => {
    const tensor = plan.tensors.get(id)!;
    const buffer = add([tensor.id], { kind: 'output', label: output, bytes: bufferBytes(tensor) });
    return { name: output, shape: node.shape as readonly number[], dtype: node.dtype, buffer };
  });

  const dispatches = plan.kernels.map((planned): Dispatch => ({
    kernel: indexOf(planned), workgroups: planned.workgroups, label: planned.label,
    bindings: planned.bindings.map(({ tensor, window }) => {
      const stored = plan.tensors.get(tensor)!, size = byteSize(stored.dtype);
      const bytes = window === undefined ? bufferBytes(stored) : Math.ceil((window.count * size) / 16) * 16;
      const offset = window === undefined ? 0 : window.start * size;
      return { buffer: bufferOf.get(tensor)!, offset, bytes: Math.min(bytes, bufferBytes(stored) - offset) };
    }),
  }));
  return { format: 'pixnerd-program', version: 1, name, inputs, parameters, outputs, ...(updates.length > 0 && { updates }), buffers, kernels, dispatches, ...needsOf(plan, buffers, dispatches) };
};

const labelOf = ({ node }: StoredTensor): string => `${node.scope === '' ? '' : `${node.scope}/`}${node.op}`;

const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
const needsOf = (plan: KernelPlan, buffers: readonly BufferPlan[], dispatches: readonly Dispatch[]): Pick<Program, 'limits' | 'features'> => ({
  limits: {
    maxBufferSize: most(buffers.map((buffer) => buffer.bytes)),
    maxStorageBufferBindingSize: most(dispatches.flatMap((dispatch) => dispatch.bindings.map((binding) => binding.bytes))),
    maxStorageBuffersPerShaderStage: most(plan.kernels.map(({ loop }) => loop.tensors.length)),
    maxComputeInvocationsPerWorkgroup: most(plan.kernels.map(({ loop }) => loop.workgroupSize.reduce((a, b) => a * b, 1))),
  },
  features: [
    ...([...plan.tensors.values()].some(({ dtype }) => dtype === 'f16') ? ['shader-f16'] : []),
    ...(plan.kernels.some(({ loop }) => loop.subgroup !== undefined) ? ['subgroups'] : []),
  ],
});
