/** Goldens of samplers: each case's plan, driving a field of velocities through the evaluator. */
import * as E from 'fp-ts/Either';
import { pipe } from 'fp-ts/function';
import * as TE from 'fp-ts/TaskEither';
import { optionsOfCase, type CaseFields } from '../sampling/case.ts';
import { execute, type Machine, type Weighted } from '../sampling/execute.ts';
import { networkTimes, type GuidanceName, type SamplerPlan } from '../sampling/plan.ts';
import { combineGraph, guidanceGraph } from '../sampling/programs.ts';
import { plan } from '../sampling/sampler.ts';
import {
  casesOf, configOf, elementsOf, NO_WEIGHTS, shapeOf, type Evaluate, type Feeds, type GoldenHeader, type Numbers, type Sources,
} from './golden.ts';

/** Velocities of images [labels.length, ...] at one time. */
export type Field<Failure> = (images: Numbers, t: number, labels: readonly number[]) => TE.TaskEither<Failure, Numbers>;

export interface SamplerCase {
  readonly name: string;
  readonly plan: SamplerPlan;
}

/** The plans of all cases, or what is wrong with the first that has none. Scheduler and guidance function may stand in the config. */
export const samplerCases = (header: GoldenHeader): E.Either<string, readonly SamplerCase[]> => {
  const { scheduler, guidance_fn } = configOf(header);
  const defaults: CaseFields = { ...(scheduler === undefined ? {} : { scheduler }), ...(guidance_fn === undefined ? {} : { guidance_fn }) };
  return E.traverseArray((fields: CaseFields) => pipe(
    optionsOfCase(fields, defaults),
    E.chain((options) => E.mapLeft((mistakes: readonly string[]) => `case ${String(fields['name'])}: ${mistakes.join('; ')}`)(plan(options))),
    E.map((made) => ({ name: String(fields['name']), plan: made })),
  ))(casesOf(header));
};

const COMBINE = new Map<number, ReturnType<typeof combineGraph>>();
const combineOf = (count: number): ReturnType<typeof combineGraph> => {
  const graph = COMBINE.get(count) ?? combineGraph(count);
  COMBINE.set(count, graph);
  return graph;
};
const GUIDANCE = { simple: guidanceGraph('simple'), c3: guidanceGraph('c3') };

interface Setting<Failure> {
  readonly evaluate: Evaluate<Failure>;
  readonly field: Field<Failure>;
  readonly labels: readonly number[];
  readonly nullLabel: number;
  /** Shape of the whole batch, [B, C, H, W]. */
  readonly shape: readonly number[];
  readonly draw: (index: number) => Numbers;
}

const twice = (x: Numbers): Float64Array => Float64Array.from({ length: 2 * x.length }, (_, i) => x[i % x.length]!);

/** The network on the doubled batch, unconditional half first, and its two answers guided. */
const guided = <Failure>(setting: Setting<Failure>, name: GuidanceName, x: Numbers, t: number, scale: number): TE.TaskEither<Failure, Numbers> => {
  const { evaluate, field, labels, nullLabel, shape: [batch = 1, channels = 1, ...rest] } = setting;
  const sizes = { B: batch, C: channels, n: elementsOf(rest) };
  return pipe(
    field(twice(x), t, [...labels.map(() => nullLabel), ...labels]),
    TE.chain((both) => evaluate({ graph: GUIDANCE[name], sizes, inputs: { both, scale: [scale] }, parameters: NO_WEIGHTS })),
    TE.map((outputs) => outputs['v']!),
  );
};

const weightedSum = <Failure>(evaluate: Evaluate<Failure>, terms: readonly Weighted<Numbers>[]): TE.TaskEither<Failure, Numbers> => {
  const tensors = Object.fromEntries(terms.map(({ tensor }, i) => [`x${i}`, tensor]));
  const inputs = { ...tensors, coefficients: terms.map(({ coefficient }) => coefficient) };
  const sizes = { k: terms.length, n: terms[0]!.tensor.length };
  return TE.map((outputs: Feeds) => outputs['x']!)(evaluate({ graph: combineOf(terms.length), sizes, inputs, parameters: NO_WEIGHTS }));
};

const machineOf = <Failure>(setting: Setting<Failure>, name: GuidanceName): Machine<Failure, Numbers> => ({
  velocity: (x, t, guidance) => (guidance === 1 ? setting.field(x, t, setting.labels) : guided(setting, name, x, t, guidance)),
  combine: (terms, noise) => weightedSum(
    setting.evaluate, noise === undefined ? terms : [...terms, { tensor: setting.draw(noise.draw), coefficient: noise.coefficient }]),
});

/** Rows padded with zeros to the longest. */
const padded = (rows: readonly (readonly number[])[]): readonly number[] => {
  const width = Math.max(0, ...rows.map((row) => row.length));
  return rows.flatMap((row) => [...row, ...Array<number>(width - row.length).fill(0)]);
};
const joined = (points: readonly Numbers[]): readonly number[] => points.flatMap((point) => Array.from(point));

/** Everything that goldens record of a case, under `out.<case>.` and `out64.<case>.`; names that the file lacks are left to the caller. */
const caseValues = <Failure>(setting: Setting<Failure>, start: Numbers, { name, plan: made }: SamplerCase): TE.TaskEither<Failure, Feeds> => {
  const [xs, vs]: [Numbers[], Numbers[]] = [[], []];
  const keep = (list: Numbers[]) => (x: Numbers, index: number) => TE.fromIO<void, Failure>(() => { list[index] = x; });
  return pipe(
    execute(made, start, machineOf(setting, made.guidance), { x: keep(xs), v: keep(vs) }),
    TE.map((last) => {
      const values: Feeds = {
        x_trajs: joined(xs), v_trajs: joined(vs), x_final: last, timesteps: made.timesteps, net_t: networkTimes(made),
        solver_coeffs: padded(made.weights),
      };
      return Object.fromEntries(Object.entries(values).flatMap(([key, value]) => [[`out.${name}.${key}`, value], [`out64.${name}.${key}`, value]]));
    }),
  );
};

/** All cases one after the other, from `in.noise` with labels `in.condition`. */
export const runCases = <Failure>(
  header: GoldenHeader, cases: readonly SamplerCase[], nullLabel: number, field: Field<Failure>, { evaluate, tensor }: Sources<Failure>,
): TE.TaskEither<Failure, Feeds> => {
  const shape = shapeOf(header, 'in.noise') ?? [];
  const size = elementsOf(shape);
  const labels = Array.from(tensor('in.condition'));
  const all = cases.map((one) => {
    const draw = (index: number): Numbers => Array.from(tensor(`in.${one.name}.noises`)).slice(index * size, (index + 1) * size);
    return caseValues({ evaluate, field, labels, nullLabel, shape, draw }, tensor('in.noise'), one);
  });
  return TE.map((parts: readonly Feeds[]): Feeds => {
    const merged = Object.assign({}, ...parts) as Feeds; // each part is Feeds
    return Object.fromEntries(Object.entries(merged).filter(([name]) => name in header.tensors));
  })(TE.sequenceSeqArray(all));
};
