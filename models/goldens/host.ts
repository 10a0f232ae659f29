/**
 * Goldens of what the host computes: bytes, schedules, multistep weights. Exact host work is checked where it runs.
 */
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { fromUint8, toUint8 } from '../pixels/uint8.ts';
import { lagrangeIntegrals, lagrangeWeights } from '../sampling/lagrange.ts';
import { guidanceGraph } from '../sampling/programs.ts';
import type { GuidanceName } from '../sampling/plan.ts';
import { SCHEDULERS, type Scheduler } from '../sampling/scheduler.ts';
import { timeShift } from '../sampling/time-grid.ts';
import {
  configOf, elementsOf, namesUnder, NO_WEIGHTS, shapeOf, type Feeds, type GoldenHeader, type GoldenRun, type Numbers, type Sources,
} from './golden.ts';

/** A run without a network: every `out.` tensor from the file's inputs. `compute` gives undefined for a name it does not know. */
const computed = (header: GoldenHeader, compute: (name: string, tensor: (name: string) => Numbers) => Numbers | undefined): GoldenRun => ({
  needsCheckpoint: false,
  run: ({ tensor }) => {
    const results: Record<string, Numbers> = {};
    for (const prefix of ['out.', 'out64.']) {
      for (const name of namesUnder(header, prefix)) {
        const value = compute(name, tensor);
        if (value !== undefined) results[`${prefix}${name}`] = value;
      }
    }
    return TE.right(results);
  },
});

/** Pixels to bytes (`u8`) and back (`x`). */
export const bytesRun = (header: GoldenHeader): GoldenRun =>
  computed(header, (name, tensor) => (name === 'u8' ? toUint8(tensor('in.x')) : name === 'x' ? fromUint8(tensor('in.u8')) : undefined));

/** `o<order>.coeffs` and `o<order>.integral` over the last times before `in.ts`'s end. */
export const lagrangeRun = (header: GoldenHeader): GoldenRun => {
  const values = configOf(header)['values'] as readonly number[]; // what the format promises
  return computed(header, (name, tensor) => {
    const [, order, what] = /^o(\d+)\.(coeffs|integral)$/.exec(name) ?? [];
    if (order === undefined) return undefined;
    const ts = Array.from(tensor('in.ts'));
    const [start, end] = ts.slice(-2) as [number, number]; // the format promises more than two
    const times = ts.slice(0, -1).slice(-Number(order));
    if (what === 'coeffs') return lagrangeWeights(times, start, end);
    const recent = values.slice(-Number(order));
    return [lagrangeIntegrals(times, start, end).reduce((sum, weight, j) => sum + weight * recent[j]!, 0)];
  });
};

const SCHEDULER_OF: ReadonlyMap<string, Scheduler> =
  new Map([['LinearScheduler', SCHEDULERS.linear], ['GVPScheduler', SCHEDULERS.gvp], ['ConstScheduler', SCHEDULERS.const]]);
const COLUMNS: ReadonlyMap<string, (scheduler: Scheduler, t: number) => number> = new Map(Object.entries({
  alpha: ({ alpha }, t) => alpha(t),
  sigma: ({ sigma }, t) => sigma(t),
  dalpha: ({ alphaRate }, t) => alphaRate(t),
  dsigma: ({ sigmaRate }, t) => sigmaRate(t),
  dsigma_mul_sigma: ({ sigma, sigmaRate }, t) => sigmaRate(t) * sigma(t),
  dalpha_over_alpha: ({ alpha, alphaRate }, t) => alphaRate(t) / alpha(t),
  dsigma_over_sigma: ({ sigma, sigmaRate }, t) => sigmaRate(t) / sigma(t),
  w: ({ noiseWeight }, t) => noiseWeight(t),
} satisfies Record<string, (scheduler: Scheduler, t: number) => number>));

/** `<Scheduler>.<column>` and `shift_<s>`, at the times `in.t`; `_from<k>` leaves the first k out. */
const scheduled = (name: string, times: readonly number[]): Numbers | undefined => {
  const shift = /^shift_(.+)$/.exec(name)?.[1];
  if (shift !== undefined) return times.map((t) => timeShift(t, Number(shift)));
  const [, className = '', column = '', from = '0'] = /^(\w+)\.(\w+?)(?:_from(\d+))?$/.exec(name) ?? [];
  const [scheduler, value] = [SCHEDULER_OF.get(className), COLUMNS.get(column)];
  return scheduler === undefined || value === undefined ? undefined : times.slice(Number(from)).map((t) => value(scheduler, t));
};

const GRAPHS = { simple: guidanceGraph('simple'), c3: guidanceGraph('c3') } as const satisfies Record<GuidanceName, unknown>;

/** `simple_<g>` and `c3_<g>` of the doubled batch `in.guidance`, by the graphs that samplers use. */
const guided = <Failure>(header: GoldenHeader, { evaluate, tensor }: Sources<Failure>): TE.TaskEither<Failure, Feeds> => {
  const names = namesUnder(header, 'out.').flatMap((name) => {
    const [, kind, scale] = /^(simple|c3)_(.+)$/.exec(name) ?? [];
    return kind === undefined ? [] : [{ name, kind: kind as GuidanceName, scale: Number(scale) }]; // the pattern's two
  });
  const [batch = 2, channels = 1, ...rest] = shapeOf(header, 'in.guidance') ?? [];
  const sizes = { B: batch / 2, C: channels, n: elementsOf(rest) };
  const all = names.map(({ name, kind, scale }) => async () => {
    const values = await evaluate({ graph: GRAPHS[kind], sizes, inputs: { both: tensor('in.guidance'), scale: [scale] }, parameters: NO_WEIGHTS })();
    return E.map((outputs: Feeds) => [`out.${name}`, outputs['v']!] as const)(values);
  });
  return async () => E.map(Object.fromEntries<Numbers>)(await TE.sequenceSeqArray(all)());
};

/** Schedules on the host, guidance in the language. */
export const schedulingRun = (header: GoldenHeader): GoldenRun => ({
  needsCheckpoint: false,
  run: (sources) => async () => {
    const host = await computed(header, (name, tensor) => scheduled(name, Array.from(tensor('in.t')))).run(sources)();
    const language = await guided(header, sources)();
    return E.isLeft(host) ? host : E.map((values: Feeds) => ({ ...host.right, ...values }))(language);
  },
});
