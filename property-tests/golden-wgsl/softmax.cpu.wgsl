// softmax: reduceMax_sum_sub_exp f32[2, 16, 128]: 1 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(32, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i0 = i32(gid.x);
  var l0 = -3.4028234663852886e+38f;
  for (var i1 = 0; i1 < 128; i1++) {
    l0 = max(l0, x0[(i1 + i0 * 128)]);
  }
  var l1 = 0.0f;
  for (var i2 = 0; i2 < 128; i2++) {
    l1 = (l1 + exp((x0[(i2 + i0 * 128)] - l0)));
  }
  for (var i3 = 0; i3 < 128; i3++) {
    y[(i3 + i0 * 128)] = (exp((x0[(i3 + i0 * 128)] - l0)) / l1);
  }
}
