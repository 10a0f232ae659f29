/**
 * An attention of one's own, written in the language: scores with a soft cap and a learned bias by distance, causal. Nobody
 * told the compiler about it: for a GPU it becomes one streamed kernel all the same, scores never in memory, tiles of keys that
 * the mask hides skipped. A software adapter gets a few plain kernels, with cap, bias and mask computed where the scores are.
 *
 *   B batch   H heads   N tokens   d width of a head
 */
import { ok } from 'node:assert/strict';
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import {
  add, type BackendName, compile, gather, input, iota, le, matmul, module, mul, openBackend, param, PROFILES, recipeTensor, select, softmax, sub, tanh,
  type T, trace, transpose, unsqueeze,
} from 'pixnerd';

type Heads = T<['B', 'H', 'N', 'd']>;

/** Softer than clipping: close to the score where it is small, never beyond the cap. */
const softCap = (scores: T<['B', 'H', 'N', 'N']>, cap: number) => mul(tanh(mul(scores, 1 / cap)), cap);

/** One bias per head and distance; query i sees the keys 0..i. */
const attention = module(
  { bias: param('H', 'N') },
  (p) => (q: Heads, k: Heads, v: Heads): Heads => {
    const scores = softCap(mul(matmul(q, transpose(k, -1, -2)), 8 ** -0.5), 20);
    const [query, key] = [unsqueeze(iota('N'), 1), unsqueeze(iota('N'), 0)];
    const past = le(key, query);
    const distance = select(past, sub(query, key), 0);
    return matmul(softmax(select(past, add(scores, gather(p.bias, distance, 1)), -1e30), -1), v);
  },
);

const graph = trace(attention, [input('q', ['B', 'H', 'N', 'd']), input('k', ['B', 'H', 'N', 'd']), input('v', ['B', 'H', 'N', 'd'])]);
const sizes = { B: 2, H: 3, N: 40, d: 8 };

/** The kernels that it takes on a class of adapter, with fusion and without. */
const kernels = (profile: keyof typeof PROFILES, fusion = true): readonly string[] => {
  const program = compile(graph, { sizes, profile: PROFILES[profile], fusion });
  if (E.isLeft(program)) throw new Error(program.left.map((error) => error.message).join('\n'));
  return program.right.dispatches.map((dispatch) => dispatch.label);
};
const [streamed, plain, unfused] = [kernels('gpu'), kernels('cpu'), kernels('gpu', false)];
const list = (labels: readonly string[]): string => labels.map((label) => `  ${label}`).join('\n');
console.log(`${unfused.length} kernels op by op\n${streamed.length} on a GPU:\n${list(streamed)}\n${plain.length} on a software adapter:\n${list(plain)}`);
ok(streamed.length === 1 && unfused.length > 15, 'one streamed kernel');
ok(plain.length <= 4, 'cap, bias and mask take no kernels of their own');

/** Errors are values; an example stops at the first one. */
const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

const heads = (name: string) => recipeTensor(name, [sizes.B, sizes.H, sizes.N, sizes.d]);
const compute = async (name: BackendName): Promise<readonly number[]> => {
  const backend = await orThrow(openBackend(name));
  const attend = await orThrow(backend.load({ name: 'attention', graph, sizes, weights: { bias: recipeTensor('bias', [sizes.H, sizes.N]) } }));
  const { output } = await orThrow(attend.run({ q: heads('q'), k: heads('k'), v: heads('v') }));
  const values = await orThrow(output!.read());
  backend.close();
  return [...values];
};

const [gpu, truth] = [await compute('wgsl'), await compute('reference')];
const worst = Math.max(...gpu.map((value, i) => Math.abs(value - truth[i]!)));
console.log(`largest difference between WebGPU and the reference: ${worst.toExponential(1)}`);
ok(worst < 1e-5, 'WebGPU and the reference agree');

const first = heads('v').slice(0, sizes.d);
ok(first.every((value, i) => Math.abs(value - gpu[i]!) < 1e-6), 'the first token sees only itself');
