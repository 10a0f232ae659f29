// attention: einsum f32[2, 2, 16, 16]: 1 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

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
  for (var i1 = 0; i1 < 8 + zero; i1++) {
    let l16 = x0[((i0 / 4) * 32 + i1)];
    let l17 = x0[((i0 / 4) * 32 + i1 + 8)];
    let l18 = x0[((i0 / 4) * 32 + i1 + 16)];
    let l19 = x0[((i0 / 4) * 32 + i1 + 24)];
    let l20 = x1[((i0 % 4) * 32 + (i0 / 16) * 128 + i1)];
    l0 = (l0 + dot(l16, l20));
    l4 = (l4 + dot(l17, l20));
    l8 = (l8 + dot(l18, l20));
    l12 = (l12 + dot(l19, l20));
    let l21 = x1[((i0 % 4) * 32 + (i0 / 16) * 128 + i1 + 8)];
    l1 = (l1 + dot(l16, l21));
    l5 = (l5 + dot(l17, l21));
    l9 = (l9 + dot(l18, l21));
    l13 = (l13 + dot(l19, l21));
    let l22 = x1[((i0 % 4) * 32 + (i0 / 16) * 128 + i1 + 16)];
    l2 = (l2 + dot(l16, l22));
    l6 = (l6 + dot(l17, l22));
    l10 = (l10 + dot(l18, l22));
    l14 = (l14 + dot(l19, l22));
    let l23 = x1[((i0 % 4) * 32 + (i0 / 16) * 128 + i1 + 24)];
    l3 = (l3 + dot(l16, l23));
    l7 = (l7 + dot(l17, l23));
    l11 = (l11 + dot(l18, l23));
    l15 = (l15 + dot(l19, l23));
  }
  y[((i0 % 4) + (i0 / 4) * 16)] = vec4<f32>(l0, l1, l2, l3);
  y[((i0 % 4) + (i0 / 4) * 16 + 4)] = vec4<f32>(l4, l5, l6, l7);
  y[((i0 % 4) + (i0 / 4) * 16 + 8)] = vec4<f32>(l8, l9, l10, l11);
  y[((i0 % 4) + (i0 / 4) * 16 + 12)] = vec4<f32>(l12, l13, l14, l15);
}

// attention/softmax: reduceMax_sum_mul_sub f32[2, 2, 16, 16]: 2 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(32, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i0 = i32(gid.x);
  let zero = i32(groups.x >> 31u);
  var l0 = -3.4028234663852886e+38f;
  for (var i1 = 0; i1 < 16 + zero; i1++) {
    l0 = max(l0, (x0[(i1 + i0 * 16)] * 0.1767766922712326f));
  }
  var l1 = 0.0f;
  for (var i2 = 0; i2 < 16 + zero; i2++) {
    l1 = (l1 + exp(((x0[(i2 + i0 * 16)] * 0.1767766922712326f) - l0)));
  }
  for (var i3 = 0; i3 < 16 + zero; i3++) {
    y[(i3 + i0 * 16)] = (exp(((x0[(i3 + i0 * 16)] * 0.1767766922712326f) - l0)) / l1);
  }
}

// attention: einsum f32[2, 2, 16, 32]: 2 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i0 = i32(gid.x);
  let zero = i32(groups.x >> 31u);
  var l0 = vec4<f32>(0.0f);
  var l1 = vec4<f32>(0.0f);
  var l2 = vec4<f32>(0.0f);
  var l3 = vec4<f32>(0.0f);
  for (var i1 = 0; i1 < 4 + zero; i1++) {
    let l4 = x0[((i0 / 8) * 16 + i1)];
    let l5 = x0[((i0 / 8) * 16 + i1 + 4)];
    let l6 = x0[((i0 / 8) * 16 + i1 + 8)];
    let l7 = x0[((i0 / 8) * 16 + i1 + 12)];
    let l8 = x1[((i0 % 8) + (i0 / 32) * 128 + i1 * 32)];
    l0 = (l0 + (vec4<f32>(l4[0]) * l8));
    l1 = (l1 + (vec4<f32>(l5[0]) * l8));
    l2 = (l2 + (vec4<f32>(l6[0]) * l8));
    l3 = (l3 + (vec4<f32>(l7[0]) * l8));
    let l9 = x1[((i0 % 8) + (i0 / 32) * 128 + i1 * 32 + 8)];
    l0 = (l0 + (vec4<f32>(l4[1]) * l9));
    l1 = (l1 + (vec4<f32>(l5[1]) * l9));
    l2 = (l2 + (vec4<f32>(l6[1]) * l9));
    l3 = (l3 + (vec4<f32>(l7[1]) * l9));
    let l10 = x1[((i0 % 8) + (i0 / 32) * 128 + i1 * 32 + 16)];
    l0 = (l0 + (vec4<f32>(l4[2]) * l10));
    l1 = (l1 + (vec4<f32>(l5[2]) * l10));
    l2 = (l2 + (vec4<f32>(l6[2]) * l10));
    l3 = (l3 + (vec4<f32>(l7[2]) * l10));
    let l11 = x1[((i0 % 8) + (i0 / 32) * 128 + i1 * 32 + 24)];
    l0 = (l0 + (vec4<f32>(l4[3]) * l11));
    l1 = (l1 + (vec4<f32>(l5[3]) * l11));
    l2 = (l2 + (vec4<f32>(l6[3]) * l11));
    l3 = (l3 + (vec4<f32>(l7[3]) * l11));
  }
  y[((i0 % 8) + (i0 / 8) * 32)] = l0;
  y[((i0 % 8) + (i0 / 8) * 32 + 8)] = l1;
  y[((i0 % 8) + (i0 / 8) * 32 + 16)] = l2;
  y[((i0 % 8) + (i0 / 8) * 32 + 24)] = l3;
}
