/**
 * The hypernetwork of PixNerd on its own: each patch brings a condition, from which one linear layer makes the weights of a
 * small network of two layers, which then runs on the pixels of that patch. Prints the WGSL that the compiler makes of it.
 *
 *   N patches   M pixels per patch   D width of the condition   X width of a pixel   R ratio of the inner width
 */
import { ok } from 'node:assert/strict';
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import {
  add, type BackendName, chunk, compile, input, l2Normalize, layers, matmul, module, openBackend, parameters, PROFILES, recipeTensor, reshape, silu, summarize,
  type T, trace,
} from 'pixnerd';

type Pixels = T<['N', 'M', 'X']>;
type Condition = T<['N', 'D']>;

const hypernetwork = module(
  { generator: layers.linear('D', '2*R*X*X'), norm: layers.rmsNorm('X') },
  (p) => (pixels: Pixels, condition: Condition): Pixels => {
    const [first, second] = chunk(p.generator(condition), 2, -1);
    const up = l2Normalize(reshape(first, ['N', 'X', 'R*X']), -2);
    const down = l2Normalize(reshape(second, ['N', 'R*X', 'X']), -2);
    return add(pixels, matmul(silu(matmul(p.norm(pixels), up)), down));
  },
);

const graph = trace(hypernetwork, [input('pixels', ['N', 'M', 'X']), input('condition', ['N', 'D'])]);
const sizes = { N: 4, M: 64, D: 32, X: 8, R: 2 };

/** What a software adapter would get; `PROFILES.gpu` gives the schedules of a GPU. */
const compiled = compile(graph, { sizes, profile: PROFILES.cpu, name: 'hypernetwork' });
if (E.isLeft(compiled)) throw new Error(compiled.left.map((error) => error.message).join('\n'));
const program = compiled.right;

for (const { name, wgsl } of program.kernels) console.log(`---- ${name} ----\n${wgsl}`);
for (const { kernel, workgroups, label } of program.dispatches) console.log(`${program.kernels[kernel]!.name}: ${workgroups.join(' x ')} workgroups, ${label}`);
console.log(summarize(program));

/** Weights and inputs from an integer hash of their names. */
const hashed = (name: string, shape: readonly (string | number)[]) => recipeTensor(name, shape.map(Number));
const weights = Object.fromEntries(parameters(hypernetwork, sizes).map(([name, shape]) => [name, hashed(name, shape)]));
const inputs = { pixels: hashed('pixels', [sizes.N, sizes.M, sizes.X]), condition: hashed('condition', [sizes.N, sizes.D]) };

/** Errors are values; an example stops at the first one. */
const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

const compute = async (name: BackendName): Promise<readonly number[]> => {
  const backend = await orThrow(openBackend(name));
  const block = await orThrow(backend.load({ name: 'hypernetwork', graph, sizes, weights }));
  const { output } = await orThrow(block.run(inputs));
  const values = await orThrow(output!.read());
  backend.close();
  return [...values];
};

const [gpu, truth] = [await compute('wgsl'), await compute('reference')];
const rms = (values: readonly number[]): number => Math.hypot(...values) / Math.sqrt(values.length);
const error = rms(gpu.map((value, i) => value - truth[i]!)) / rms(truth);
console.log(`WebGPU against the reference: relative rms error ${error.toExponential(1)}`);
ok(error < 1e-6, 'WebGPU and the reference agree');
