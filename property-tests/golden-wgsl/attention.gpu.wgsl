// attention: reduceMax_sum_mul_sub f32[2, 2, 16, 32]: 4 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
var<workgroup> a0: array<vec4<f32>, 128>;
var<workgroup> a1: array<vec4<f32>, 128>;
var<workgroup> a2: array<f32, 256>;

@compute @workgroup_size(16, 1, 1)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i0 = i32(wid.x);
  let i1 = i32(lane);
  let l0 = x0[(i1 * 8 + i0 * 128)];
  let l1 = x0[(i1 * 8 + i0 * 128 + 1)];
  let l2 = x0[(i1 * 8 + i0 * 128 + 2)];
  let l3 = x0[(i1 * 8 + i0 * 128 + 3)];
  let l4 = x0[(i1 * 8 + i0 * 128 + 4)];
  let l5 = x0[(i1 * 8 + i0 * 128 + 5)];
  let l6 = x0[(i1 * 8 + i0 * 128 + 6)];
  let l7 = x0[(i1 * 8 + i0 * 128 + 7)];
  var l8 = -1.6999999760721821e+38f;
  var l9 = 0.0f;
  var l10 = vec4<f32>(0.0f);
  var l11 = vec4<f32>(0.0f);
  var l12 = vec4<f32>(0.0f);
  var l13 = vec4<f32>(0.0f);
  var l14 = vec4<f32>(0.0f);
  var l15 = vec4<f32>(0.0f);
  var l16 = vec4<f32>(0.0f);
  var l17 = vec4<f32>(0.0f);
  for (var i2 = 0; i2 < 1; i2++) {
    workgroupBarrier();
    for (var i3 = 0; i3 < 8; i3++) {
      a0[(i1 + i3 * 16)] = x1[(i1 + i0 * 128 + i3 * 16)];
    }
    for (var i4 = 0; i4 < 8; i4++) {
      a1[(i1 + i4 * 16)] = x2[(i1 + i0 * 128 + i4 * 16)];
    }
    workgroupBarrier();
    var l20 = l8;
    for (var i5 = 0; i5 < 16; i5++) {
      let l21 = (dot(((((((((l0 * a0[i5 * 8]) + (l1 * a0[(i5 * 8 + 1)])) + (l2 * a0[(i5 * 8 + 2)])) + (l3 * a0[(i5 * 8 + 3)])) + (l4 * a0[(i5 * 8 + 4)])) + (l5 * a0[(i5 * 8 + 5)])) + (l6 * a0[(i5 * 8 + 6)])) + (l7 * a0[(i5 * 8 + 7)])), vec4<f32>(1.0f)) * 0.1767766922712326f);
      a2[(i1 + i5 * 16)] = l21;
      l20 = max(l20, l21);
    }
    let l22 = exp((l8 - l20));
    l9 = (l9 * l22);
    l10 = (l10 * vec4<f32>(l22));
    l11 = (l11 * vec4<f32>(l22));
    l12 = (l12 * vec4<f32>(l22));
    l13 = (l13 * vec4<f32>(l22));
    l14 = (l14 * vec4<f32>(l22));
    l15 = (l15 * vec4<f32>(l22));
    l16 = (l16 * vec4<f32>(l22));
    l17 = (l17 * vec4<f32>(l22));
    l8 = l20;
    for (var i6 = 0; i6 < 16; i6++) {
      let l24 = exp((a2[(i1 + i6 * 16)] - l20));
      l9 = (l9 + l24);
      l10 = (l10 + (vec4<f32>(l24) * a1[i6 * 8]));
      l11 = (l11 + (vec4<f32>(l24) * a1[(i6 * 8 + 1)]));
      l12 = (l12 + (vec4<f32>(l24) * a1[(i6 * 8 + 2)]));
      l13 = (l13 + (vec4<f32>(l24) * a1[(i6 * 8 + 3)]));
      l14 = (l14 + (vec4<f32>(l24) * a1[(i6 * 8 + 4)]));
      l15 = (l15 + (vec4<f32>(l24) * a1[(i6 * 8 + 5)]));
      l16 = (l16 + (vec4<f32>(l24) * a1[(i6 * 8 + 6)]));
      l17 = (l17 + (vec4<f32>(l24) * a1[(i6 * 8 + 7)]));
    }
  }
  y[(i1 * 8 + i0 * 128)] = (l10 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 1)] = (l11 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 2)] = (l12 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 3)] = (l13 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 4)] = (l14 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 5)] = (l15 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 6)] = (l16 / vec4<f32>(l9));
  y[(i1 * 8 + i0 * 128 + 7)] = (l17 / vec4<f32>(l9));
}
