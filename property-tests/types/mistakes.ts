/** Mistakes to put one by one into the real model. Each `find` stands once in its file; `error` is part of what tsc must say. */
export interface Mistake {
  readonly name: string;
  /** In `models/pixnerd`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly error: string;
}

export const MISTAKES: readonly Mistake[] = [
  // equal dims exchanged: P and Q are the same number in every PixNerd, and two symbols for this reason
  {
    name: 'rows and columns of a patch exchanged, cutting',
    file: 'patch.ts',
    find: "'b c (h p) (w q) -> b (h w) (c p q)'",
    replace: "'b c (h q) (w p) -> b (h w) (c p q)'",
    error: 'rearrange: (h q): P*h is not divisible by Q in [B, C, P*h, Q*w]',
  },
  {
    name: 'rows and columns of a patch exchanged, pasting',
    file: 'patch.ts',
    find: "-> b c (h p) (w q)'",
    replace: "-> b c (h q) (w p)'",
    error: `Type 'Tensor<["B", "C", "Q*h", "P*w"], "f32">' is not assignable to type 'Tensor<["B", "C", "P*h", "Q*w"], "f32">'.`,
  },
  {
    name: 'a channel axis grouped with the pixels',
    file: 'patch.ts',
    find: "-> (b n) (p q) c'",
    replace: "-> (b n) (p q c)'",
    error: `Type 'Tensor<["B*h*w", "C*P*Q"], "f32">' is not assignable to type 'Tensor<["B*h*w", "P*Q", "C"], "f32">'.`,
  },
  {
    name: 'a slice along the wrong axis',
    file: 'patch.ts',
    find: "slice(slice(image, 2, 0, 'P*h'), 3, 0, 'Q*w')",
    replace: "slice(slice(image, 2, 0, 'P*h'), 2, 0, 'Q*w')",
    error: `Type 'Tensor<["B", "C", "Q*w", "(Q*w+s)"], "f32">' is not assignable to type 'Tensor<["B", "C", "P*h", "Q*w"], "f32">'.`,
  },
  {
    name: 'the left-over columns padded with the rows',
    file: 'patch.ts',
    find: "3, 0, 's')",
    replace: "3, 0, 'r')",
    error: `Type 'Tensor<["B", "C", "(P*h+r)", "(Q*w+r)"], "f32">' is not assignable to type 'Tensor<["B", "C", "(P*h+r)", "(Q*w+s)"], "f32">'.`,
  },
  {
    name: 'queries and keys only from qkv',
    file: 'transformer.ts',
    find: "linearNoBias('D', '12*H*K')",
    replace: "linearNoBias('D', '8*H*K')",
    error: 'rearrange: (three head d): 8*H*K is not divisible by 3*H in [B, h*w, 8*H*K]',
  },
  {
    name: 'the query norm over the width instead of the head',
    file: 'transformer.ts',
    find: "q_norm: rmsNorm('4*K')",
    replace: "q_norm: rmsNorm('D')",
    error: 'rmsNorm: dim differs: 4*K vs D in [B, H, h*w, 4*K] x [D]',
  },
  {
    name: 'a fourth of three',
    file: 'transformer.ts',
    find: 'index(qkv, 0, 2)',
    replace: 'index(qkv, 0, 3)',
    error: 'index: 3 is outside axis 0 of [3, B, H, h*w, 4*K]',
  },
  {
    name: 'the values taken along the batch',
    file: 'transformer.ts',
    find: 'index(qkv, 0, 2)',
    replace: 'index(qkv, 1, 2)',
    error: 'attention: batch differs: B vs 3 in [B, H, h*w, 4*K] x [B, H, h*w, 4*K] x [3, H, h*w, 4*K]',
  },
  {
    name: 'heads not joined before the projection',
    file: 'transformer.ts',
    find: "'b head n d -> b n (head d)'",
    replace: "'b head n d -> b head (n d)'",
    error: 'linear: in differs: 4*K*h*w vs 4*H*K in [B, H, 4*K*h*w] x [D, 4*H*K]',
  },
  {
    name: 'gate missing in SwiGLU',
    file: 'transformer.ts',
    find: 'mul(silu(p.w1(x)), p.w3(x))',
    replace: 'mul(silu(p.w1(x)), x)',
    error: 'mul: cannot broadcast [B, h*w, F] with [B, h*w, D]: F vs D',
  },
  {
    name: 'the last feed-forward layer the wrong way round',
    file: 'transformer.ts',
    find: "w2: linearNoBias('F', 'D')",
    replace: "w2: linearNoBias('D', 'F')",
    error: 'linear: in differs: F vs D in [B, h*w, F] x [F, D]',
  },
  {
    name: 'five modulations instead of six',
    file: 'transformer.ts',
    find: "linear('D', '6*D')",
    replace: "linear('D', '5*D')",
    error: 'chunk: axis -1 of [B, 1, 5*D] is 5*D, not divisible by 6',
  },
  {
    name: 'modulations cut along the tokens',
    file: 'transformer.ts',
    find: 'chunk(p.adaLN_modulation(c), 6, -1)',
    replace: 'chunk(p.adaLN_modulation(c), 6, 1)',
    error: 'chunk: axis 1 of [B, 1, 6*D] is 1, not divisible by 6',
  },
  {
    name: 'the first NeRF matrix transposed',
    file: 'nerf.ts',
    find: "reshape(first, ['B*h*w', 'X', 'R*X'])",
    replace: "reshape(first, ['B*h*w', 'R*X', 'X'])",
    error: 'matmul: inner differs: X vs R*X in [B*h*w, P*Q, X] x [B*h*w, R*X, X]',
  },
  {
    name: 'the parameter generator makes one matrix only',
    file: 'nerf.ts',
    find: "linear('D', '2*R*X*X')",
    replace: "linear('D', 'R*X*X')",
    error: 'chunk: axis -1 of [B*h*w, R*X*X] is R*X*X, not divisible by 2',
  },
  {
    name: 'a product the wrong way round',
    file: 'nerf.ts',
    find: 'matmul(p.norm(x), fc1)',
    replace: 'matmul(fc1, p.norm(x))',
    error: 'matmul: inner differs: R*X vs P*Q in [B*h*w, X, R*X] x [B*h*w, P*Q, X]',
  },
  {
    name: 'the final layer the wrong way round',
    file: 'nerf.ts',
    find: "linear: linear('X', 'C')",
    replace: "linear: linear('C', 'X')",
    error: 'linear: in differs: X vs C in [B*h*w, P*Q, X] x [X, C]',
  },
  {
    name: 'cosines and sines joined along the batch',
    file: 'embedders.ts',
    find: 'concat([cos(angle), sin(angle)], -1)',
    replace: 'concat([cos(angle), sin(angle)], 0)',
    error: `Type 'Tensor<["2*B", "S"], "f32">' is not assignable to type 'Tensor<["B", "2*S"], "f32">'.`,
  },
  {
    name: 'times against frequencies in one axis',
    file: 'embedders.ts',
    find: 'unsqueeze(t, 1)',
    replace: 'unsqueeze(t, 0)',
    error: 'mul: cannot broadcast [1, B] with [S]: B vs S',
  },
  {
    name: 'place features counted per axis',
    file: 'embedders.ts',
    find: "linear('(C+M*M)', 'X')",
    replace: "linear('(C+M)', 'X')",
    error: 'linear: in differs: (C+M*M) vs (C+M) in [B*h*w, P*Q, (C+M*M)] x [X, (C+M)]',
  },
  {
    name: 'the batch forgotten',
    file: 'pixnerd.ts',
    find: "['B*h*w', 'D']",
    replace: "['h*w', 'D']",
    error: 'reshape: [B, h*w, D] has B*D*h*w elements, [h*w, D] has D*h*w',
  },
  {
    name: 'tokens and condition exchanged',
    file: 'pixnerd.ts',
    find: 'block(tokens, c, table)',
    replace: 'block(c, tokens, table)',
    error: `Argument of type 'Tensor<["B", 1, "D"], "f32">' is not assignable to parameter of type 'Tensor<["B", "h*w", "D"], "f32">'.`,
  },
  {
    name: 'a row of positions as long as a column',
    file: 'rope.ts',
    find: "[1, 'w', 1]",
    replace: "[1, 'h', 1]",
    error: 'reshape: [w] has w elements, [1, h, 1] has h',
  },
];
