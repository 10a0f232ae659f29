/**
 * The files of a run, in a folder that is kept between runs: for each workload its tensors, its reference outputs in double
 * precision, and its ONNX model.
 *
 * References and models are PyTorch's where there is one; else the package's reference interpreter and the writer in `onnx/`. The
 * metadata of a reference says whose it is.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnxModel } from '../onnx/models.mjs';
import * as safetensors from './safetensors.mjs';
import { pythonWithTorch, runTorch } from './torch.mjs';
import { generate } from './workloads.mjs';

const file = (folder, name, kind) => join(folder, `${name}.${kind}`);
const ROLES = ['input', 'param', 'const'];

/** What tells whether the files in the folder are of this workload. */
const metadataOf = ({ kind, cfg, out, ...tensors }) => ({
  kind, cfg: JSON.stringify(cfg), out: JSON.stringify(out), roles: JSON.stringify(Object.fromEntries(ROLES.map((role) => [role, tensors[role].map(([name]) => name)]))),
});

const isCurrent = (path, wanted) => {
  if (!existsSync(path)) return false;
  const { metadata } = safetensors.read(path);
  return Object.entries(wanted).every(([name, value]) => metadata[name] === value);
};

/** False where there is no PyTorch, or where it fails, which it says. */
const torchWrote = (what, folder, name) => {
  if (pythonWithTorch() === undefined) return false;
  try {
    runTorch([what, folder, name]);
    return true;
  } catch (thrown) {
    console.error(`notice: PyTorch cannot write the ${what} of ${name}, so the bench does (${thrown.message.trim().split('\n').at(-1)})`);
    return false;
  }
};

const writeReference = async (folder, name, spec, tensors) => {
  const path = file(folder, name, 'ref.safetensors');
  if (existsSync(path) || torchWrote('ref', folder, name)) return;
  console.error(`computing the reference of ${name} by the package's reference interpreter`);
  const { referenceOutputs } = await import('../ours/reference.mjs'); // here only: the processes of the peers do not load the package
  safetensors.write(path, referenceOutputs(spec, tensors), { by: 'the reference interpreter of pixnerd, float64' });
};

const writeOnnx = (folder, name, spec, tensors) => {
  const path = file(folder, name, 'onnx');
  if (spec.kind === 'pixnerd_train' || existsSync(path)) return;
  if (!torchWrote('onnx', folder, name)) writeFileSync(path, onnxModel(spec, tensors));
};

/** Whose the ONNX models are; each has a folder of its own. */
export const modelsBy = () => (pythonWithTorch() === undefined ? 'bench/onnx' : 'PyTorch');

/** Writes what is missing in the folder. */
export const prepare = async (folder, chosen) => {
  mkdirSync(folder, { recursive: true });
  for (const [name, spec] of Object.entries(chosen)) {
    const path = file(folder, name, 'in.safetensors'), metadata = metadataOf(spec), tensors = generate(spec);
    if (!isCurrent(path, metadata)) {
      for (const kind of ['ref.safetensors', 'onnx']) rmSync(file(folder, name, kind), { force: true });
      safetensors.write(path, tensors, metadata);
    }
    await writeReference(folder, name, spec, tensors);
    writeOnnx(folder, name, spec, tensors);
  }
};

/** A workload and its tensors from the folder. */
export const load = (folder, name) => {
  const { metadata, tensors } = safetensors.read(file(folder, name, 'in.safetensors')), roles = JSON.parse(metadata.roles);
  for (const role of ROLES) for (const tensor of roles[role]) tensors[tensor].role = role;
  const lists = Object.fromEntries(ROLES.map((role) => [role, roles[role].map((tensor) => [tensor, tensors[tensor].shape])]));
  return { spec: { kind: metadata.kind, cfg: JSON.parse(metadata.cfg), out: JSON.parse(metadata.out), ...lists }, tensors };
};

/** { by, tensors }: the outputs of the reference, and whose they are. */
export const reference = (folder, name) => {
  const { metadata, tensors } = safetensors.read(file(folder, name, 'ref.safetensors'));
  return { by: metadata.by ?? 'PyTorch, float64', tensors };
};
