"""The workloads in plain PyTorch, as functions of a dict of tensors (see lib/workloads.mjs for names)."""
import torch
import torch.nn.functional as F


def rms(x, w, eps=1e-6):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w


def attention(q, k, v):
    s = torch.matmul(q, k.transpose(-1, -2)) * (q.shape[-1] ** -0.5)
    return torch.matmul(torch.softmax(s, dim=-1), v)


def rotate(x, cos, sin):  # x [B, N, H, hd]; adjacent elements form one complex number
    shape = x.shape
    x = x.reshape(shape[0], shape[1], shape[2], shape[3] // 2, 2)
    re, im = x[..., 0], x[..., 1]
    cos, sin = cos[None, :, None, :], sin[None, :, None, :]
    return torch.stack([re * cos - im * sin, re * sin + im * cos], dim=-1).reshape(shape)


def dit(p, pre, x, c, cos, sin, heads):
    B, N, D = x.shape
    hd = D // heads
    g = lambda n: p[pre + n]
    sh1, sc1, g1, sh2, sc2, g2 = F.linear(c, g("ada_w"), g("ada_b")).chunk(6, dim=-1)
    h = rms(x, g("norm1")) * (1 + sc1) + sh1
    qkv = F.linear(h, g("qkv")).reshape(B, N, 3, heads, hd).permute(2, 0, 1, 3, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]
    q = rotate(rms(q, g("q_norm")), cos, sin).transpose(1, 2)
    k = rotate(rms(k, g("k_norm")), cos, sin).transpose(1, 2)
    o = attention(q, k, v.transpose(1, 2)).transpose(1, 2).reshape(B, N, D)
    x = x + g1 * F.linear(o, g("proj_w"), g("proj_b"))
    h = rms(x, g("norm2")) * (1 + sc2) + sh2
    return x + g2 * F.linear(F.silu(F.linear(h, g("w1"))) * F.linear(h, g("w3")), g("w2"))


def nerf(p, pre, x, s, dx, ratio):
    P = x.shape[0]
    w1, w2 = F.linear(s, p[pre + "gen_w"], p[pre + "gen_b"]).chunk(2, dim=-1)
    w1 = F.normalize(w1.reshape(P, dx, dx * ratio), dim=-2)
    w2 = F.normalize(w2.reshape(P, dx * ratio, dx), dim=-2)
    h = torch.bmm(rms(x, p[pre + "norm"]), w1)
    return x + torch.bmm(F.silu(h), w2)


def pixnerd(p, x, t, y, c):
    """c: the cfg dict of the workload; p holds parameters and constant tables."""
    B, (h, w), (ph, pw), L, D, ch = c["B"], c["grid"], c["patch"], c["L"], c["D"], c["ch"]
    patches = x.reshape(B, ch, h, ph, w, pw).permute(0, 2, 4, 1, 3, 5).reshape(B, L, ch * ph * pw)
    args = t[:, None] * p["t_freqs"][None, :]
    temb = torch.cat([torch.cos(args), torch.sin(args)], dim=-1)
    temb = F.linear(F.silu(F.linear(temb, p["t_w1"], p["t_b1"])), p["t_w2"], p["t_b2"]).reshape(B, 1, D)
    yemb = torch.index_select(p["y_emb"], 0, y).reshape(B, 1, D)
    cond = F.silu(temb + yemb)
    s = F.linear(patches, p["s_w"], p["s_b"])
    for i in range(c["blocks"]):
        s = dit(p, f"b{i}.", s, cond, p["rope_cos"], p["rope_sin"], c["heads"])
    s = F.silu(temb + s).reshape(B * L, D)
    px = patches.reshape(B * L, ch, ph * pw).transpose(1, 2)
    px = torch.cat([px, p["dct"][None].expand(B * L, -1, -1)], dim=-1)
    px = F.linear(px, p["x_w"], p["x_b"])
    for i in range(c["nerfs"]):
        px = nerf(p, f"n{i}.", px, s, c["dx"], c["ratio"])
    px = F.linear(rms(px, p["f_norm"]), p["f_w"], p["f_b"])  # [B*L, ph*pw, ch]
    px = px.transpose(1, 2).reshape(B, h, w, ch, ph, pw).permute(0, 3, 1, 4, 2, 5)
    return px.reshape(B, ch, h * ph, w * pw)


def forward(kind, cfg, p, *inp):
    if kind == "matmul":
        return torch.matmul(*inp)
    if kind == "attention":
        return attention(*inp)
    if kind == "dit":
        return dit(p, "", inp[0], inp[1], p["rope_cos"], p["rope_sin"], cfg["heads"])
    if kind == "nerf":
        return nerf(p, "", inp[0], inp[1], cfg["dx"], cfg["ratio"])
    if kind == "pixnerd":
        return pixnerd(p, inp[0], inp[1], inp[2], cfg)
    if kind == "pixnerd_train":
        out = pixnerd(p, inp[0], inp[1], inp[2], cfg)
        return ((out - inp[3]) ** 2).mean()
    raise ValueError(kind)
