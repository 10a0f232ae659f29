/** `pixnerd export`: a trained model in the form that the authors' code loads. */
import { basename } from 'node:path';
import * as E from 'fp-ts/Either';
import { showBytes } from '../../explain/format.ts';
import { checkpointStore } from '../../training/checkpoint.ts';
import { nodeDisk } from '../../training/disk.ts';
import { exportOfficial } from '../../training/export.ts';
import { flag, withDefault } from '../arguments.ts';
import { command } from '../command.ts';
import { settle, stop } from '../failure.ts';
import { text } from '../readers.ts';

/** A checkpoint itself, or the last one of a run. */
const checkpointAt = async (folder: string): Promise<string> => {
  if (/^step-\d+$/.test(basename(folder))) return folder;
  const saved = await checkpointStore(folder, nodeDisk, 1, { shapes: {}, metadata: {} }).latest()();
  return E.isLeft(saved) ? stop(saved.left.message) : saved.right.path;
};

export const exportCommand = command({
  name: 'export',
  summary: 'writes a trained model with the key names of the authors, for PyTorch',
  options: {
    official: flag('denoiser.* and ema_denoiser.*, as their checkpoints have them'),
    out: withDefault(text('FILE.safetensors'), 'official.safetensors', 'where it goes'),
  },
  operands: { placeholder: 'FOLDER', least: 1, most: 1, help: 'a run, whose last checkpoint is taken, or a checkpoint (step-000500)' },
  examples: [['pixnerd export out/fashion --official --out fashion-official.safetensors', 'the last checkpoint of a run, for PyTorch']],
  run: async ({ values: { official, out }, operands: [folder = ''] }, terminal) => {
    if (!official) stop('which form? --official is the one there is');
    if (!out.endsWith('.safetensors')) stop(`--out ${out}: this writes safetensors, so the name should end in .safetensors`);
    const { path, bytes, step } = await settle(exportOfficial(await checkpointAt(folder), out));
    terminal.note(`${showBytes(bytes)}, after ${step} steps. One call of torch makes the file that the authors' code loads:`);
    terminal.note(`  torch.save({"state_dict": safetensors.torch.load_file("${path}"), "epoch": 0, "global_step": ${step}, "pytorch-lightning_version": "2.5.0"}, "${path.replace(/\.safetensors$/, '.ckpt')}")`);
    terminal.out(path);
  },
});
