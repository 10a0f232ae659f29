/**
 * A typed network: shapes are checked while you type, the same graph runs on WebGPU and in the reference interpreter.
 *
 * Change `32` in one place only, and the editor underlines the step of the pipe that no longer fits.
 */
import { ok } from 'node:assert/strict';
import { pipe } from 'fp-ts/function';
import * as TE from 'fp-ts/TaskEither';
import { type BackendName, input, layers, module, on, openBackend, printGraph, silu, type T, trace } from 'pixnerd';

/** Batch of four numbers in, three probabilities out. The symbol B is any batch size. */
const classifier = module(
  { hidden: layers.linear(4, 32), output: layers.linear(32, 3) },
  (p) => (x: T<['B', 4]>): T<['B', 3]> => pipe(x, p.hidden, silu, p.output, on.softmax(-1)),
);

const graph = trace(classifier, [input('x', ['B', 4])]);
console.log(printGraph(graph));

/** Some weights, so that there is something to compute. */
const wave = (count: number, frequency: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: count }, (_, i) => Math.sin(frequency * (i + 1)));
const weights = { 'hidden.weight': wave(32 * 4, 0.7), 'hidden.bias': wave(32, 0.3), 'output.weight': wave(3 * 32, 1.1), 'output.bias': wave(3, 0.5) };
const x = wave(5 * 4, 0.9);

/** Errors are values; an example stops at the first one. */
const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

const compute = async (name: BackendName): Promise<readonly number[]> => {
  const backend = await orThrow(openBackend(name));
  console.log(backend.notice);
  const classify = await orThrow(backend.load({ name: 'classifier', graph, sizes: { B: 5 }, weights }));
  const { output } = await orThrow(classify.run({ x }));
  const values = await orThrow(output!.read());
  backend.close();
  return [...values];
};

const [gpu, truth] = [await compute('wgsl'), await compute('reference')];
for (let row = 0; row < 5; row++) console.log(`  ${gpu.slice(row * 3, row * 3 + 3).map((p) => p.toFixed(6)).join('  ')}`);

const worst = Math.max(...gpu.map((p, i) => Math.abs(p - truth[i]!)));
console.log(`largest difference between WebGPU and the reference: ${worst.toExponential(1)}`);
ok(worst < 1e-6, 'WebGPU and the reference agree');
ok(Math.abs(gpu.slice(0, 3).reduce((a, b) => a + b) - 1) < 1e-6, 'probabilities add up to 1');
