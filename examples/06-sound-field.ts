/**
 * A neural field for sound, by the same idea as PixNerd's: for each stretch of a recording, a linear layer makes the weights of a
 * small network from the stretch's condition, and the network says how far the air is displaced at each moment of it. Sine
 * activations (SIREN, arXiv 2006.09661), three layers, one coordinate. Nothing in the compiler is written for it; for a GPU, all of
 * the network is one kernel that keeps a moment's features in registers.
 *
 *   S stretches   M moments in each   D width of a condition   X width of the network
 */
import { ok } from 'node:assert/strict';
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import {
  type BackendName, compile, expand, input, layers, linspace, matmul, module, mul, openBackend, parameters, PROFILES, recipeTensor, reshape, sin, type T, trace,
} from 'pixnerd';

/** Layers start with frequencies up to this many turns of a stretch. */
const FREQUENCY = 30;

const soundField = module(
  { first: layers.linear('D', 'X'), second: layers.linear('D', 'X*X'), third: layers.linear('D', 'X') },
  (p) => (condition: T<['S', 'D']>): T<['S', 'M', 1]> => {
    const time = expand(reshape(linspace(-1, 1, 'M'), [1, 'M', 1]), ['S', 'M', 1]);
    const waves = sin(mul(matmul(time, reshape(p.first(condition), ['S', 1, 'X'])), FREQUENCY));
    const mixed = sin(matmul(waves, reshape(p.second(condition), ['S', 'X', 'X'])));
    return matmul(mixed, reshape(p.third(condition), ['S', 'X', 1]));
  },
);

const graph = trace(soundField, [input('condition', ['S', 'D'])]);
const sizes = { S: 3, M: 50, D: 16, X: 24 };

const kernels = (fusion: boolean): readonly string[] => {
  const program = compile(graph, { sizes, profile: PROFILES.gpu, fusion });
  if (E.isLeft(program)) throw new Error(program.left.map((error) => error.message).join('\n'));
  return program.right.dispatches.map((dispatch) => dispatch.label);
};
const [fused, unfused] = [kernels(true), kernels(false)];
console.log(`${unfused.length} kernels op by op, ${fused.length} fused:\n${fused.map((label) => `  ${label}`).join('\n')}`);
ok(fused.length === 4, 'a kernel for each generator of weights, and one for the whole network');

/** Errors are values; an example stops at the first one. */
const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

const weights = Object.fromEntries(parameters(soundField, sizes).map(([name, shape]) => [name, recipeTensor(name, shape.map(Number))]));
const compute = async (name: BackendName): Promise<readonly number[]> => {
  const backend = await orThrow(openBackend(name));
  const field = await orThrow(backend.load({ name: 'sound field', graph, sizes, weights }));
  const { output } = await orThrow(field.run({ condition: recipeTensor('condition', [sizes.S, sizes.D]) }));
  const values = await orThrow(output!.read());
  backend.close();
  return [...values];
};

const [gpu, truth] = [await compute('wgsl'), await compute('reference')];
const worst = Math.max(...gpu.map((value, i) => Math.abs(value - truth[i]!))), loudest = Math.max(...truth.map(Math.abs));
console.log(`${sizes.S} stretches of ${sizes.M} moments, loudest ${loudest.toFixed(2)}; largest difference between WebGPU and the reference: ${worst.toExponential(1)}`);
ok(worst < 1e-4 * Math.max(1, loudest), 'WebGPU and the reference agree');
