#!/usr/bin/env bash
# The one command on the GPU host: measures everything into $OUT (default gpu-results) beside the folder it lies in, PyTorch last.
# Options go to measure.mjs:
# --small, --runs N, --variants JSON (options of the compiler by name).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$PWD/gpu-results}
mkdir -p "$out"
. "$here/setup.sh"
if command -v nvidia-smi > /dev/null; then nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/driver.txt"; fi
node "$here/bench.mjs" --out "$out" "$@"
status=$?
if [[ " $* " != *" --small "* ]] && timeout 400 python3 "$here/torch_gpu.py" "$out/torch.json"; then
  node "$here/bench.mjs" --out "$out" --torch "$out/torch.json"
fi
exit $status
