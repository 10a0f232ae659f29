/**
 * Whether a kernel may be used: it runs on data for which the right answer is known, and every element of its result is looked at.
 *
 * On the whole form of its computation all right kernels agree to the last bit: with each other everywhere, and with the reference at a
 * sample of elements. On plain numbers it stays within the reference's bound at a sample. Nothing is timed before both hold.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { portOf } from '../../compiler/checks.ts';
import { asStored, stored as roundedTo } from '../../compiler/reference/evaluate.ts';
import { samplePlaces } from '../../compiler/reference/places.ts';
import { demandOf, evaluateDemand, type Stored } from '../../compiler/reference/sample.ts';
import type { Alone } from '../../compiler/tuning/alone.ts';
import { roundToHalf } from '../../compiler/half.ts';
import type { DType } from '../../dsl/dtype.ts';
import { literalAttribute } from '../../dsl/ops/attributes.ts';
import type { Bounded, Places } from '../../dsl/ops/definition.ts';
import { OPS } from '../../dsl/ops/table.ts';
import type { Device } from '../runtime/device.ts';
import { type DeviceError, fail } from '../runtime/errors.ts';
import { load, type Session } from '../runtime/session.ts';
import { type DeviceTensor, upload } from '../runtime/tensor.ts';
import { elementsFor, type Form } from './whole.ts';

/** The value of a task; its error is thrown as the runtime throws its own. */
export const settled = async <A>(task: TaskEither<DeviceError, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw fail(result.left);
  return result.right;
};

/** What a computation is fed with, on the device and here. */
export interface Feeds {
  readonly onDevice: Readonly<Record<string, DeviceTensor>>;
  readonly here: ReadonlyMap<string, ArrayLike<number>>;
  readonly dispose: () => void;
}

/** Data for everything that a program reads: for a whole form, or plain numbers between -1 and 1. */
export const feedsFor = async (device: Device, { step, checks }: Alone, kind: Form | 'plain'): Promise<Feeds> => {
  const onDevice: Record<string, DeviceTensor> = {}, here = new Map<string, ArrayLike<number>>();
  for (const id of step.reads) {
    const { dtype, elements, node } = checks.plan.tensors.get(id)!, data = elementsFor(dtype as DType, elements, id + 1, kind); // int8 weights are refused before
    onDevice[portOf(id)] = await settled(upload(device, [elements], dtype as DType, data));
    here.set(portOf(id), kind !== 'plain' ? data : Float64Array.from(data, (x) => roundedTo(x, { dtype: dtype === 'i8' ? node.dtype : dtype })));
  }
  return { onDevice, here, dispose: () => Object.values(onDevice).forEach((tensor) => tensor.dispose()) };
};

/** The elements that a program gives, all of them. */
export const resultOf = async (session: Session, { result }: Alone, { onDevice }: Feeds): Promise<ArrayLike<number>> => {
  const outputs = await settled(session.run(onDevice));
  try {
    return await settled(outputs[portOf(result.id)]!.read());
  } finally {
    for (const tensor of Object.values(outputs)) tensor.dispose();
  }
};

/** What is known of the right answer; `softmax`: up to one quotient. */
export interface Truth {
  readonly kind: Form | 'plain';
  readonly feeds: Feeds;
  readonly places: Places;
  /** By the reference, at the places. */
  readonly expected: Bounded;
  /** Whole numbers: every element, by the kernel that the heuristic chose. */
  readonly all?: ArrayLike<number>;
}

const SAMPLE = 256;
/** The most elements that the reference reads or computes. */
const MOST_WORK = 2 ** 21;

/** The right answer at a sample of elements, corners among them. */
export const truthOf = (alone: Alone, feeds: Feeds, kind: Truth['kind']): Truth => {
  const { result: { node, dtype }, checks: { byNode } } = alone;
  const stored: Stored = (asked) => {
    const tensor = byNode.get(asked);
    return tensor === undefined ? undefined : asked.op === 'literal' ? literalAttribute(asked.attributes).data.map((x) => roundedTo(x, asked)) : feeds.here.get(portOf(tensor.id));
  };
  const places = (most: number): Places => samplePlaces(node.shape as readonly number[], 0, { share: 1, seed: 0, most }); // sizes are bound
  const one = demandOf(node, places(1), stored, OPS).cost, chosen = places(Math.max(4, Math.min(SAMPLE, MOST_WORK / one)));
  const values = evaluateDemand(demandOf(node, chosen, stored, OPS), stored);
  return { kind, feeds, places: chosen, expected: kind === 'plain' ? asStored(values, dtype) : dtype === 'f16' ? { ...values, value: values.value.map(roundToHalf) } : values };
};

/** The most elements, of those that are looked at, that may be equal. */
const MOST_EQUAL = 0.9;

/** Whether the right answer says something: where most elements are equal, a wrong kernel may give them too. */
export const isTelling = ({ expected: { value } }: Truth): boolean => {
  const counts = new Map<number, number>();
  for (const x of value) counts.set(x, (counts.get(x) ?? 0) + 1);
  return Math.max(...counts.values()) <= Math.max(1, MOST_EQUAL * value.length);
};

/** What a quotient may be off, of its size. */
const QUOTIENT = 2 ** -20;

const firstPlace = (count: number, isWrong: (i: number) => boolean): number => {
  for (let i = 0; i < count; i++) if (isWrong(i)) return i;
  return -1;
};

/** What is wrong with a result; undefined where nothing is. */
export const mistakeIn = (got: ArrayLike<number>, { kind, places, expected, all }: Truth): string | undefined => {
  const isOff = (i: number): boolean => {
    const [g, e, bound] = [got[places[i]!]!, expected.value[i]!, expected.error[i]!];
    return kind === 'sums' ? g !== e : kind === 'softmax' ? !(Math.abs(g - e) <= QUOTIENT * Math.abs(e)) : Number.isFinite(e) && Number.isFinite(bound) && !(Math.abs(g - e) <= bound);
  };
  const off = firstPlace(places.length, isOff);
  if (off >= 0) return `element ${places[off]} is ${got[places[off]!]}, the reference says ${expected.value[off]}${kind === 'plain' ? ` ± ${expected.error[off]}` : ''}`;
  if (all === undefined) return undefined;
  const differs = firstPlace(all.length, (i) => got[i] !== all[i]);
  return differs < 0 ? undefined : `element ${differs} is ${got[differs]}, by the heuristic's kernel ${all[differs]}`;
};

/** Runs a program on the data of a truth. */
export const mistakeOf = async (device: Device, alone: Alone, truth: Truth): Promise<string | undefined> => {
  const session = await settled(load(device, alone.step.program));
  try {
    return mistakeIn(await resultOf(session, alone, truth.feeds), truth);
  } finally {
    session.dispose();
  }
};
