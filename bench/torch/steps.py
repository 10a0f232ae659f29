"""PyTorch's side of steps.mjs: the same hundred steps. Usage: steps.py FOLDER 32|64"""
import json
import math
import os
import sys

import torch

import model

folder, bits = sys.argv[1], sys.argv[2]
dtype = torch.float64 if bits == "64" else torch.float32
meta = json.load(open(os.path.join(folder, "meta.json")))
raw = bytearray(open(os.path.join(folder, "data.bin"), "rb").read())
place = 0


def take(shape, kind=torch.float32):
    global place
    count = math.prod(shape)
    values = torch.frombuffer(raw, dtype=kind, count=count, offset=place).clone().reshape(shape)
    place += 4 * count
    return values


DIT = {
    "norm1.weight": "norm1", "attn.qkv.weight": "qkv", "attn.q_norm.weight": "q_norm", "attn.k_norm.weight": "k_norm", "attn.proj.weight": "proj_w", "attn.proj.bias": "proj_b",
    "norm2.weight": "norm2", "mlp.w1.weight": "w1", "mlp.w3.weight": "w3", "mlp.w2.weight": "w2", "adaLN_modulation.0.weight": "ada_w", "adaLN_modulation.0.bias": "ada_b",
}
NERF = {"param_generator1.0.weight": "gen_w", "param_generator1.0.bias": "gen_b", "norm.weight": "norm"}
OTHERS = {
    "t_embedder.mlp.0.weight": "t_w1", "t_embedder.mlp.0.bias": "t_b1", "t_embedder.mlp.2.weight": "t_w2", "t_embedder.mlp.2.bias": "t_b2", "y_embedder.embedding_table.weight": "y_emb",
    "s_embedder.proj.weight": "s_w", "s_embedder.proj.bias": "s_b", "x_embedder.embedder.0.weight": "x_w", "x_embedder.embedder.0.bias": "x_b",
    "final_layer.norm.weight": "f_norm", "final_layer.linear.weight": "f_w", "final_layer.linear.bias": "f_b",
}
c = meta["config"]
B, S, P, D = meta["batch"], meta["size"], c["patch_size"], c["hidden_size"]
transformers, side, head = c["num_cond_blocks"], S // P, D // c["num_groups"]
names = dict(OTHERS)
for i in range(c["num_blocks"]):
    for ours, theirs in (DIT if i < transformers else NERF).items():
        names[f"blocks.{i}.{ours}"] = f"b{i}.{theirs}" if i < transformers else f"n{i - transformers}.{theirs}"
p = {names[name]: torch.nn.Parameter(take(shape).to(dtype)) for name, shape in meta["parameters"]}


def tables():
    at = lambda i: 0 if side == 1 else 16 * i / (side - 1)
    turn = [[angle for i in range(head // 4) for angle in (at(x) / 10000 ** (4 * i / head), at(y) / 10000 ** (4 * i / head))] for y in range(side) for x in range(side)]
    f = lambda i: 8 * i / 7
    dct = [[math.cos(x / (P - 1) * f(i) * math.pi) * math.cos(y / (P - 1) * f(j) * math.pi) / (1 + f(i) * f(j)) for i in range(8) for j in range(8)] for y in range(P) for x in range(P)]
    turn = torch.tensor(turn, dtype=torch.float64)
    times = torch.tensor([math.exp(-math.log(10) * i / 128) for i in range(128)], dtype=torch.float64)
    return {"rope_cos": turn.cos().to(dtype), "rope_sin": turn.sin().to(dtype), "dct": torch.tensor(dct, dtype=torch.float64).to(dtype), "t_freqs": times.to(dtype)}


cfg = dict(B=B, img=[S, S], patch=[P, P], grid=[side, side], L=side * side, D=D, heads=c["num_groups"], dx=c["hidden_size_x"], ratio=c["nerf_mlpratio"], blocks=transformers,
           nerfs=c["num_blocks"] - transformers, ch=c["in_channels"], classes=c["num_classes"])
fixed, steps, worst = tables(), meta["steps"], 0
optimizer = torch.optim.AdamW(list(p.values()), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
for k in range(steps):
    x, noise = take([B, c["in_channels"], S, S]).to(dtype), take([B, c["in_channels"], S, S]).to(dtype)
    t, y = take([B]).to(dtype), take([B], torch.int32).long()
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * (k + 1) / 10 if k < 10 else 1e-3 * (1 + math.cos(math.pi * (k - 9) / (steps - 10))) / 2
    share = t.reshape(B, 1, 1, 1)
    loss = ((model.pixnerd({**p, **fixed}, share * x + (1 - share) * noise, t, y, cfg) - (x - noise)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(p.values()), 1.0)
    optimizer.step()
    worst = max(worst, abs(meta["losses"][k] / loss.item() - 1))
print(f"PyTorch float{bits}: loss {loss.item():.7f} after {steps} steps, ours {meta['losses'][-1]:.7f}; largest relative difference at any step {worst:.1e}")
