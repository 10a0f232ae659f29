/** PyTorch (CPU, eager), run by Python: it has no Node form, so it names a command instead of `open`. */
import { pythonWithTorch, torchScript } from '../lib/torch.mjs';

const blas = process.env.PEERS_BLAS_DIR;
export const variants = ['cpu'];
export const supports = () => (pythonWithTorch() === undefined ? 'no Python with PyTorch here (Debian: python3-torch), or set BENCH_PYTHON' : true);
export const command = ({ dir, workload, ...options }) => ({
  cmd: pythonWithTorch(), args: [torchScript, 'bench', dir, workload, JSON.stringify(options)],
  // Debian's libblas3 is the slow reference BLAS: point this at a folder with an optimised libblas.so.3
  env: blas ? { LD_LIBRARY_PATH: blas } : {},
  note: blas ? 'BLAS from PEERS_BLAS_DIR' : 'system libblas',
});
