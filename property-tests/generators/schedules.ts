/** Random legal schedules: the schedule space is a dimension of every test that runs kernels. */
import fc from 'fast-check';
import type { MatmulSchedule, RowSchedule, Schedule, StreamSchedule } from '../../compiler/schedule.ts';

const broadcast = fc.option(fc.record({ rows: fc.constantFrom(4, 8, 16), columns: fc.constantFrom(1, 4), threads: fc.constantFrom(4, 8, 32) }), { nil: undefined });
const matmul: fc.Arbitrary<MatmulSchedule> = fc.record({
  rows: fc.constantFrom(1, 2, 4, 8),
  columns: fc.constantFrom(1, 2, 4, 8),
  depth: fc.constantFrom(1, 2, 4),
  workgroup: fc.constantFrom([1, 1], [8, 8], [4, 4], [16, 2], [1, 32], [2, 64]),
  staging: fc.constantFrom('none', 'workgroup'),
  blockDepth: fc.constantFrom(4, 8, 16),
  minWorkgroups: fc.constantFrom(0, 4, 256),
  sharedBytes: fc.constantFrom(2048, 16384),
  broadcast,
});
/** Cooperative workgroups are powers of two from 2 on: partial results are joined by halves. */
const row: fc.Arbitrary<RowSchedule> = fc.record({ by: fc.constantFrom('thread', 'workgroup'), workgroup: fc.constantFrom(2, 8, 32, 64) });

const stream: fc.Arbitrary<StreamSchedule> = fc.record({
  staging: fc.constantFrom('workgroup', 'none'), rows: fc.constantFrom(1, 4, 64), keys: fc.constantFrom(1, 3, 16), registers: fc.constantFrom(16, 320), sharedBytes: fc.constantFrom(256, 16384),
});

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  matmul,
  smallMatmul: fc.record({ below: fc.constantFrom(0, 2 ** 24), matmul }),
  row,
  keepLoops: fc.boolean(),
  launch: fc.constantFrom(0, 20_000, 2_000_000),
  normsInMatmuls: fc.boolean(),
  stream: fc.option(stream, { nil: undefined }),
  rowProgram: fc.option(fc.record({ threads: fc.constantFrom(1, 8, 64), width: fc.constantFrom(4, 128), depth: fc.constant(512), registers: fc.constantFrom(16, 320), statements: fc.constant(1024) }), { nil: undefined }),
  elementwise: fc.constantFrom(1, 32, 64, 256),
  cooperativeFrom: fc.constantFrom(2, 5, 64, Infinity),
});
