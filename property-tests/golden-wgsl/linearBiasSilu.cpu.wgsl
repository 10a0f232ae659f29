// silu: abs_neg_exp_le f32[2, 16, 64]: 2 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i0 = i32(gid.x);
  let zero = i32(groups.x >> 31u);
  var l0 = 0.0f;
  var l1 = 0.0f;
  var l2 = 0.0f;
  var l3 = 0.0f;
  var l4 = 0.0f;
  var l5 = 0.0f;
  var l6 = 0.0f;
  var l7 = 0.0f;
  var l8 = 0.0f;
  var l9 = 0.0f;
  var l10 = 0.0f;
  var l11 = 0.0f;
  var l12 = 0.0f;
  var l13 = 0.0f;
  var l14 = 0.0f;
  var l15 = 0.0f;
  for (var i1 = 0; i1 < 32 + zero; i1++) {
    let l16 = x0[((i0 / 16) * 128 + i1)];
    let l17 = x0[((i0 / 16) * 128 + i1 + 32)];
    let l18 = x0[((i0 / 16) * 128 + i1 + 64)];
    let l19 = x0[((i0 / 16) * 128 + i1 + 96)];
    let l20 = x1[((i0 % 16) * 128 + i1)];
    l0 = (l0 + dot(l16, l20));
    l4 = (l4 + dot(l17, l20));
    l8 = (l8 + dot(l18, l20));
    l12 = (l12 + dot(l19, l20));
    let l21 = x1[((i0 % 16) * 128 + i1 + 32)];
    l1 = (l1 + dot(l16, l21));
    l5 = (l5 + dot(l17, l21));
    l9 = (l9 + dot(l18, l21));
    l13 = (l13 + dot(l19, l21));
    let l22 = x1[((i0 % 16) * 128 + i1 + 64)];
    l2 = (l2 + dot(l16, l22));
    l6 = (l6 + dot(l17, l22));
    l10 = (l10 + dot(l18, l22));
    l14 = (l14 + dot(l19, l22));
    let l23 = x1[((i0 % 16) * 128 + i1 + 96)];
    l3 = (l3 + dot(l16, l23));
    l7 = (l7 + dot(l17, l23));
    l11 = (l11 + dot(l18, l23));
    l15 = (l15 + dot(l19, l23));
  }
  let l25 = (vec4<f32>(l0, l1, l2, l3) + x2[(i0 % 16)]);
  let l26 = exp((-abs(l25)));
  y[((i0 % 16) + (i0 / 16) * 64)] = (l25 * (select(l26, vec4<f32>(1.0f), (vec4<f32>(0.0f) <= l25)) / (l26 + vec4<f32>(1.0f))));
  let l27 = x2[(i0 % 16)];
  let l28 = (vec4<f32>(l4, l5, l6, l7) + l27);
  let l29 = exp((-abs(l28)));
  y[((i0 % 16) + (i0 / 16) * 64 + 16)] = (l28 * (select(l29, vec4<f32>(1.0f), (vec4<f32>(0.0f) <= l28)) / (l29 + vec4<f32>(1.0f))));
  let l30 = (vec4<f32>(l8, l9, l10, l11) + l27);
  let l31 = exp((-abs(l30)));
  y[((i0 % 16) + (i0 / 16) * 64 + 32)] = (l30 * (select(l31, vec4<f32>(1.0f), (vec4<f32>(0.0f) <= l30)) / (l31 + vec4<f32>(1.0f))));
  let l32 = (vec4<f32>(l12, l13, l14, l15) + l27);
  let l33 = exp((-abs(l32)));
  y[((i0 % 16) + (i0 / 16) * 64 + 48)] = (l32 * (select(l33, vec4<f32>(1.0f), (vec4<f32>(0.0f) <= l32)) / (l33 + vec4<f32>(1.0f))));
}
