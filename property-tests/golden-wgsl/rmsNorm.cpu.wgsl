// rmsNorm: sum_div_add_rsqrt f32[2, 16, 128]: 1 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(32, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i0 = i32(gid.x);
  var l0 = 0.0f;
  for (var i1 = 0; i1 < 128; i1++) {
    let l1 = x0[(i1 + i0 * 128)];
    l0 = (l0 + (l1 * l1));
  }
  let l2 = inverseSqrt(((l0 / 128.0f) + 9.999999974752427e-7f));
  for (var i2 = 0; i2 < 128; i2++) {
    y[(i2 + i0 * 128)] = (x1[i2] * (x0[(i2 + i0 * 128)] * l2));
  }
}
