/** The kernel of an expression: which family of loops computes it, and by which schedule: a tuned one for its key, else the heuristic's. */
import type { StorageType } from '../../dsl/dtype.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { extentOf, reductionsIn } from '../../dsl/scalar/rewrite.ts';
import { matmulFor, type MatmulProblem, type Schedule, tileFor } from '../schedule.ts';
import { type KernelKey, matmulKey, rowKey, streamKey } from '../tuning/key.ts';
import { type KernelSchedule, withSchedule } from '../tuning/schedules.ts';
import type { TunedSchedules, TuningSource } from '../tuning/table.ts';
import { type Contraction, contractionOf, matmulKernel } from './matmul.ts';
import { type Output, rowKernel } from './row.ts';
import { stagedMatmulKernel } from './staged-matmul.ts';
import { streamFits, streamKernel } from './stream.ts';
import { vectorRowKernel } from './vector-row.ts';
import { vectorMatmulKernel } from './vector-matmul.ts';
import { streamOf } from './stream-pattern.ts';
import type { TensorExpression } from './tensor-expression.ts';

/** How a kernel runs, and who chose that. */
export type ScheduleChoice = KernelSchedule & { readonly key: KernelKey; readonly by: TuningSource | 'heuristic' };

export interface ScheduledKernel {
  readonly loop: LoopKernel;
  readonly choice: ScheduleChoice;
}

export interface Scheduling {
  readonly schedule: Schedule;
  readonly tuned?: TunedSchedules | undefined;
}

const problemOf = ({ axes }: TensorExpression, { over, column, terms }: Contraction): MatmulProblem =>
  ({ multiplications: extentOf(axes) * extentOf(over), columns: column?.extent ?? 1, terms: terms.length });

const anyMatmulKernel: typeof matmulKernel = (...args) => (args[3].staging === 'workgroup' ? stagedMatmulKernel(...args) : undefined) ?? matmulKernel(...args);

export const scheduledKernel = (expression: TensorExpression, output: Output, { schedule, tuned }: Scheduling, dtypes: (tensor: number) => StorageType): ScheduledKernel => {
  const chosen = (key: KernelKey, heuristic: KernelSchedule): ScheduleChoice => {
    const found = tuned?.get(key);
    return found?.family === heuristic.family ? { ...found, key } : { ...heuristic, key, by: 'heuristic' };
  };
  const stream = schedule.stream === undefined ? 'not asked for' : streamOf(expression);
  if (typeof stream !== 'string' && schedule.stream !== undefined && streamFits(stream, schedule.stream)) {
    const asked = chosen(streamKey(stream, expression.value, dtypes), { family: 'stream', schedule: schedule.stream });
    // fusion counted on a kernel that fits; a tuned one that does not is not taken
    const own = asked.family === 'stream' && streamFits(stream, asked.schedule) ? asked.schedule : schedule.stream;
    return { loop: streamKernel(expression, stream, output, own, dtypes), choice: own === asked.schedule ? asked : { family: 'stream', schedule: own, key: asked.key, by: 'heuristic' } };
  }
  const contraction = contractionOf(expression);
  if (contraction !== undefined) {
    const choice = chosen(matmulKey(contraction, dtypes), { family: 'matmul', schedule: tileFor(schedule, problemOf(expression, contraction)) });
    const vectors = schedule.vectors === true ? vectorMatmulKernel(expression, contraction, output, dtypes) : undefined;
    return { loop: vectors ?? anyMatmulKernel(expression, contraction, output, matmulFor(withSchedule(schedule, choice), 0), dtypes), choice };
  }
  const key = rowKey(expression, dtypes), longest = Math.max(0, ...reductionsIn(expression.value).map((e) => extentOf(e.over)));
  const heuristic: KernelSchedule = longest === 0 ? { family: 'elementwise', schedule: { workgroup: schedule.elementwise } }
    : { family: 'row', schedule: longest >= schedule.cooperativeFrom ? schedule.row : { by: 'thread', workgroup: schedule.row.workgroup } };
  const choice = chosen(key, heuristic);
  return { loop: schedule.vectors === true ? vectorRowKernel(expression, output, dtypes) : rowKernel(expression, output, withSchedule(schedule, choice), dtypes), choice };
};
