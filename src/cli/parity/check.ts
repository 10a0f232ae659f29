/**
 * Checks one golden file on a backend.
 *
 * Invariant: every `out.`, `out64.` and `mid.` tensor of the file gets a verdict; one that nothing computes fails.
 */
import * as E from 'fp-ts/Either';
import type { Numbers } from '../../../compiler/precision/policy.ts';
import { goldenRun, type Feeds, type GoldenHeader } from '../../../models/goldens/index.ts';
import type { Backend } from '../../backend/backend.ts';
import { evaluatorOn } from './evaluator.ts';
import { checkpointOf, type Golden, readGolden, readWeights } from './golden-file.ts';
import { judge, judgedTogether, type Verdict } from './judge.ts';
import { limitFor, limitUnder } from './tolerances.ts';

export interface Report {
  readonly file: string;
  readonly backend: string;
  readonly adapter: string;
  readonly ok: boolean;
  readonly tensors: readonly Verdict[];
  /** Why the file could not be run. */
  readonly error?: string;
  readonly interrupted?: boolean;
}

/** The run in doubles that belongs to a float32 result, where the file has one. */
const inDoubles = (name: string): string => name.replace(/^out\./, 'out64.');

const isChecked = (name: string): boolean => /^(out|out64|mid|grad)\./.test(name);

/** Names to be judged: results, and whatever else was computed (the weights of checkpoints). */
const namesOf = ({ tensors }: GoldenHeader, values: Feeds): readonly string[] =>
  Object.keys(tensors).filter((name) => isChecked(name) || name in values);

/**
 * A result is compared with the run in doubles where the file has it, which is the better truth, and must then agree with the
 * file's float32 run too: a golden that contradicts itself proves nothing.
 */
const verdictOn = (golden: Golden, values: Feeds, name: string, numbers: Numbers): Verdict => {
  const { header, tensors, path } = golden, rule = limitFor(path, header.metadata, name), better = inDoubles(name);
  const limit = rule && limitUnder(rule, numbers);
  const own = judge(name, values[name], tensors.get(name)!, limit); // a name of the file
  if (better === name || !tensors.has(better)) return own;
  const [shape, other] = [name, better].map((each) => `[${header.tensors[each]!.shape.join(', ')}]`);
  if (shape !== other) return { ...own, ok: false, problem: `its shape is ${shape}, that of ${better} is ${other}` };
  const best = judge(name, values[name], tensors.get(better)!, limit);
  return best.ok && !own.ok ? { ...own, problem: own.problem ?? `agrees with ${better}, but not with ${name} itself` } : best;
};

const verdicts = (golden: Golden, values: Feeds, numbers: Numbers): readonly Verdict[] =>
  judgedTogether(namesOf(golden.header, values).map((name) => verdictOn(golden, values, name, numbers)), values, golden.tensors);

export interface CheckOptions {
  /** The checkpoint to use instead of the one in the metadata. */
  readonly checkpoint?: string | undefined;
  /** How the backend's programs keep their numbers: limits are wider where that is not f32. */
  readonly numbers?: Numbers;
  readonly signal: AbortSignal;
}

type Values = E.Either<{ readonly message: string; readonly kind?: string }, Feeds>;

const run = async (golden: Golden, backend: Backend, { checkpoint, signal }: CheckOptions): Promise<Values> => {
  const made = goldenRun(golden.header);
  if (E.isLeft(made)) return E.left({ message: `${golden.path}: ${made.left}` });
  const path = made.right.needsCheckpoint ? checkpointOf(golden, checkpoint) : E.right('');
  if (E.isLeft(path)) return path;
  const { evaluate, dispose } = evaluatorOn(backend, signal);
  const tensor = (name: string): Float64Array => {
    const data = golden.tensors.get(name);
    if (data === undefined) throw new MissingTensor(`${golden.path}: there is no tensor ${name} in the file`);
    return data;
  };
  try {
    return await made.right.run({ evaluate, tensor, weights: readWeights(path.right) })();
  } catch (thrown) {
    if (thrown instanceof MissingTensor) return E.left({ message: thrown.message });
    throw thrown;
  } finally {
    dispose();
  }
};

/** A golden that lacks one of its own inputs. */
class MissingTensor extends Error {}

/** The report on one file; what keeps it from being run is in `error`, and fails every tensor. */
export const checkGolden = async (path: string, backend: Backend, options: CheckOptions): Promise<Report> => {
  const shared = { file: path, backend: backend.name, adapter: backend.adapter };
  const golden = await readGolden(path)();
  if (E.isLeft(golden)) return { ...shared, ok: false, tensors: [], error: golden.left.message };
  const values = await run(golden.right, backend, options);
  const tensors = verdicts(golden.right, E.isLeft(values) ? {} : values.right, options.numbers ?? {});
  if (E.isLeft(values))
    return { ...shared, ok: false, tensors, error: values.left.message, ...(values.left.kind === 'aborted' && { interrupted: true }) };
  if (tensors.length === 0) return { ...shared, ok: false, tensors, error: `${path}: it holds no out., out64., mid. or grad. tensors: nothing was checked` };
  return { ...shared, ok: tensors.every(({ ok }) => ok), tensors };
};
