// rmsNorm: sum_div_add_rsqrt f32[2, 16, 128]: 32 x 1 x 1 workgroups
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
var<workgroup> shared_f32: array<f32, 64>;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i0 = i32(wid.x);
  let i1 = i32(lane);
  var l0 = 0.0f;
  for (var i2 = 0; i2 < 2; i2++) {
    let l1 = x0[(i0 * 128 + i1 + i2 * 64)];
    l0 = (l0 + (l1 * l1));
  }
  shared_f32[lane] = l0;
  workgroupBarrier();
  for (var s = 32u; s > 0u; s = s / 2u) {
    if (lane < s) { shared_f32[lane] = (shared_f32[lane] + shared_f32[lane + s]); }
    workgroupBarrier();
  }
  l0 = workgroupUniformLoad(&shared_f32[0]);
  let l2 = inverseSqrt(((l0 / 128.0f) + 9.999999974752427e-7f));
  for (var i3 = 0; i3 < 2; i3++) {
    y[(i0 * 128 + i1 + i3 * 64)] = (x1[(i1 + i3 * 64)] * (x0[(i0 * 128 + i1 + i3 * 64)] * l2));
  }
}
