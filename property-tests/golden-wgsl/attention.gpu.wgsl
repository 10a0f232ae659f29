// attention: einsum f32[2, 2, 16, 16]: 1 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i0 = i32(gid.x);
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
  for (var i1 = 0; i1 < 8; i1++) {
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

// attention/softmax: reduceMax_mul_sub_exp f32[2, 2, 16, 16]: 1 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i0 = i32(gid.x);
  var l0 = -3.4028234663852886e+38f;
  for (var i1 = 0; i1 < 16; i1++) {
    l0 = max(l0, (x0[(i1 + i0 * 16)] * 0.1767766922712326f));
  }
  for (var i2 = 0; i2 < 16; i2++) {
    y[(i2 + i0 * 16)] = exp(((x0[(i2 + i0 * 16)] * 0.1767766922712326f) - l0));
  }
}

// attention/softmax: sum f32[2, 2, 16]: 1 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i0 = i32(gid.x);
  var l0 = 0.0f;
  for (var i1 = 0; i1 < 16; i1++) {
    l0 = (l0 + x0[(i1 + i0 * 16)]);
  }
  y[i0] = l0;
}

// attention: div_einsum f32[2, 2, 16, 32]: 2 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i0 = i32(gid.x);
  var l0 = vec4<f32>(0.0f);
  var l1 = vec4<f32>(0.0f);
  var l2 = vec4<f32>(0.0f);
  var l3 = vec4<f32>(0.0f);
  let l4 = vec4<f32>(x0[(i0 / 8) * 4]);
  let l6 = vec4<f32>(x0[((i0 / 8) * 4 + 1)]);
  let l8 = vec4<f32>(x0[((i0 / 8) * 4 + 2)]);
  let l10 = vec4<f32>(x0[((i0 / 8) * 4 + 3)]);
  for (var i1 = 0; i1 < 4; i1++) {
    let l5 = (x1[((i0 / 8) * 16 + i1)] / l4);
    let l7 = (x1[((i0 / 8) * 16 + i1 + 4)] / l6);
    let l9 = (x1[((i0 / 8) * 16 + i1 + 8)] / l8);
    let l11 = (x1[((i0 / 8) * 16 + i1 + 12)] / l10);
    let l12 = x2[((i0 % 8) + (i0 / 32) * 128 + i1 * 32)];
    l0 = (l0 + (vec4<f32>(l5[0]) * l12));
    l1 = (l1 + (vec4<f32>(l7[0]) * l12));
    l2 = (l2 + (vec4<f32>(l9[0]) * l12));
    l3 = (l3 + (vec4<f32>(l11[0]) * l12));
    let l13 = x2[((i0 % 8) + (i0 / 32) * 128 + i1 * 32 + 8)];
    l0 = (l0 + (vec4<f32>(l5[1]) * l13));
    l1 = (l1 + (vec4<f32>(l7[1]) * l13));
    l2 = (l2 + (vec4<f32>(l9[1]) * l13));
    l3 = (l3 + (vec4<f32>(l11[1]) * l13));
    let l14 = x2[((i0 % 8) + (i0 / 32) * 128 + i1 * 32 + 16)];
    l0 = (l0 + (vec4<f32>(l5[2]) * l14));
    l1 = (l1 + (vec4<f32>(l7[2]) * l14));
    l2 = (l2 + (vec4<f32>(l9[2]) * l14));
    l3 = (l3 + (vec4<f32>(l11[2]) * l14));
    let l15 = x2[((i0 % 8) + (i0 / 32) * 128 + i1 * 32 + 24)];
    l0 = (l0 + (vec4<f32>(l5[3]) * l15));
    l1 = (l1 + (vec4<f32>(l7[3]) * l15));
    l2 = (l2 + (vec4<f32>(l9[3]) * l15));
    l3 = (l3 + (vec4<f32>(l11[3]) * l15));
  }
  y[((i0 % 8) + (i0 / 8) * 32)] = l0;
  y[((i0 % 8) + (i0 / 8) * 32 + 8)] = l1;
  y[((i0 % 8) + (i0 / 8) * 32 + 16)] = l2;
  y[((i0 % 8) + (i0 / 8) * 32 + 24)] = l3;
}
