"""PyTorch on the same GPU: c2i-XL/16 and c2i-L/16, batch 1 with guidance, eager and compiled, f32 (without and with TF32) and bf16.

  torch_gpu.py OUT.json     (rewritten after every row: compiling takes a minute each, and the time may run out)
"""
import json, os, sys, time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "torch"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model

MODELS = {
    "c2i-XL/16": dict(B=2, grid=[16, 16], patch=[16, 16], L=256, D=1152, ch=3, heads=16, dx=64, ratio=2, blocks=26, nerfs=4, mlp=3072, classes=1000),
    "c2i-L/16": dict(B=2, grid=[16, 16], patch=[16, 16], L=256, D=1024, ch=3, heads=16, dx=64, ratio=2, blocks=22, nerfs=2, mlp=2730, classes=1000),
}


def shapes(c):
    D, dx, mlp, hd = c["D"], c["dx"], c["mlp"], c["D"] // c["heads"]
    out = {
        "t_w1": [D, 256], "t_b1": [D], "t_w2": [D, D], "t_b2": [D], "y_emb": [c["classes"] + 1, D], "s_w": [D, 3 * 256], "s_b": [D], "x_w": [dx, 67], "x_b": [dx],
        "f_norm": [dx], "f_w": [3, dx], "f_b": [3], "rope_cos": [c["L"], hd // 2], "rope_sin": [c["L"], hd // 2], "dct": [256, 64], "t_freqs": [128],
    }
    for i in range(c["blocks"]):
        block = {"norm1": [D], "qkv": [3 * D, D], "q_norm": [hd], "k_norm": [hd], "proj_w": [D, D], "proj_b": [D], "norm2": [D],
                 "w1": [mlp, D], "w3": [mlp, D], "w2": [D, mlp], "ada_w": [6 * D, D], "ada_b": [6 * D]}
        out.update({f"b{i}.{n}": s for n, s in block.items()})
    for i in range(c["nerfs"]):
        out.update({f"n{i}.gen_w": [2 * dx * dx * c["ratio"], D], f"n{i}.gen_b": [2 * dx * dx * c["ratio"]], f"n{i}.norm": [dx]})
    return out


def milliseconds(f, runs=30):
    for _ in range(5):
        f()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(runs):
        f()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / runs


def main(path):
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    result = {"torch": torch.__version__, "device": torch.cuda.get_device_name(), "rows": []}
    for name, c in MODELS.items():
        for label, dtype, tf32 in [("f32", torch.float32, False), ("bf16", torch.bfloat16, False), ("f32, TF32 products", torch.float32, True)]:
            torch.backends.cuda.matmul.allow_tf32 = tf32
            p = {n: torch.randn(s, device="cuda", dtype=dtype) * 0.02 for n, s in shapes(c).items()}
            x, t, y = torch.randn(2, 3, 256, 256, device="cuda", dtype=dtype), torch.full([2], 0.37, device="cuda", dtype=dtype), torch.tensor([207, 1000], device="cuda")
            for mode in ["eager", "compiled"]:
                row = {"name": name, "dtype": label, "mode": mode}
                try:
                    forward = lambda x, t, y: model.pixnerd(p, x, t, y, c)
                    step = torch.compile(forward) if mode == "compiled" else forward
                    began = time.time()
                    with torch.no_grad():
                        row["ms"] = milliseconds(lambda: step(x, t, y))
                    row["seconds"] = time.time() - began
                except Exception as error:  # a row that fails is a row
                    row["failed"] = str(error).splitlines()[0][:200]
                result["rows"].append(row)
                print(row, file=sys.stderr, flush=True)
                with open(path, "w") as f:
                    json.dump(result, f, indent=1)
            del p


if __name__ == "__main__":
    main(sys.argv[1])
