/**
 * Counts what a library asks of WebGPU, by wrapping the prototypes of a Dawn binding.
 *
 * Invariant: `liveBytes` is the sum of the sizes of the buffers that were created and neither destroyed nor collected.
 */

export const counts = { dispatches: 0, passes: 0, submits: 0, buffers: 0, writes: 0, writeBytes: 0, maps: 0, modules: 0, pipelines: 0, liveBytes: 0, peakBytes: 0 };
/** The devices that were opened, in order. */
export const devices = [];

const wrap = (prototype, name, before, after) => {
  const original = prototype[name];
  if (!original) return;
  prototype[name] = function (...args) {
    const replaced = before?.call(this, args) ?? args;
    const result = original.apply(this, replaced);
    after?.call(this, result, replaced);
    return result;
  };
};

/** Dawn's Node binding refuses views on a SharedArrayBuffer (the heap of a wasm library is one). */
const unshare = (view) => (view?.buffer instanceof SharedArrayBuffer ? new view.constructor(view) : view instanceof SharedArrayBuffer ? new Uint8Array(view).slice().buffer : view);

const boxes = new WeakMap();
const release = (box) => {
  counts.liveBytes -= box.size;
  box.size = 0;
};
const collected = new FinalizationRegistry(release);

const countBuffer = (buffer, [descriptor]) => {
  const box = { size: Number(descriptor.size) };
  counts.buffers++;
  counts.liveBytes += box.size;
  counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes);
  boxes.set(buffer, box);
  collected.register(buffer, box);
};

/** Counts a `writeBuffer`, and copies the range that it asks for where the memory is shared. */
const countWrite = (args) => {
  const [buffer, offset, data, dataOffset = 0, size] = args;
  counts.writes++;
  counts.writeBytes += size ?? data.byteLength;
  if (!((data.buffer ?? data) instanceof SharedArrayBuffer)) return args;
  const unit = data.BYTES_PER_ELEMENT ?? 1, start = (data.byteOffset ?? 0) + dataOffset * unit;
  const bytes = size === undefined ? data.byteLength - dataOffset * unit : size * unit;
  return [buffer, offset, new Uint8Array(new Uint8Array(data.buffer ?? data, start, bytes))];
};

/** Wraps the prototypes of a binding (the `globals` of the package `webgpu`). Once per binding. */
export const countCalls = (binding) => {
  const { GPUAdapter, GPUDevice, GPUBuffer, GPUComputePassEncoder, GPUCommandEncoder, GPUQueue } = binding;
  wrap(GPUAdapter.prototype, 'requestDevice', undefined, (opening) => { opening.then((device) => devices.push(device), () => undefined); });
  wrap(GPUDevice.prototype, 'createBuffer', undefined, countBuffer);
  wrap(GPUBuffer.prototype, 'destroy', function () { const box = boxes.get(this); if (box) release(box); });
  wrap(GPUBuffer.prototype, 'mapAsync', () => { counts.maps++; });
  wrap(GPUDevice.prototype, 'createShaderModule', () => { counts.modules++; });
  for (const name of ['createComputePipeline', 'createComputePipelineAsync']) wrap(GPUDevice.prototype, name, () => { counts.pipelines++; });
  for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) wrap(GPUComputePassEncoder.prototype, name, () => { counts.dispatches++; });
  wrap(GPUComputePassEncoder.prototype, 'setBindGroup', (args) => args.map(unshare));
  wrap(GPUCommandEncoder.prototype, 'beginComputePass', () => { counts.passes++; });
  wrap(GPUQueue.prototype, 'submit', () => { counts.submits++; });
  wrap(GPUQueue.prototype, 'writeBuffer', countWrite);
};
