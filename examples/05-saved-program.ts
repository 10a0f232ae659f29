/**
 * A program is plain data: compiled here, saved to a file, and run by `pixnerd/runtime`, a bundle of under 15 KB (gzipped)
 * that contains neither the language nor the compiler. A web page needs no more than the last part of this file.
 */
import { ok } from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { compile, input, layers, module, openNodeDevice, printProgram, recipeTensor, silu, summarize, type T, trace } from 'pixnerd';
import { load, parseProgram } from 'pixnerd/runtime';

/** Errors are values; an example stops at the first one. */
const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

// ---- once, on the developer's machine ---------------------------------------------------------------------------------

const network = module(
  { first: layers.linear(16, 64), second: layers.linear(64, 4) },
  (p) => (x: T<['B', 16]>): T<['B', 4]> => p.second(silu(p.first(x))),
);
const program = compile(trace(network, [input('x', ['B', 16])]), { name: 'network', sizes: { B: 2 } });
if (E.isLeft(program)) throw new Error(program.left.map((error) => error.message).join('\n'));

const path = 'out/example-05.program.json';
await mkdir('out', { recursive: true });
await writeFile(path, printProgram(program.right));
console.log(`${path}:`, summarize(program.right), `needs ${JSON.stringify(program.right.limits)}`);

// ---- anywhere: no language, no compiler -------------------------------------------------------------------------------

const saved = parseProgram(await readFile(path, 'utf8'));
if (E.isLeft(saved)) throw new Error(saved.left.message);

// in a browser: `openSavedProgram(text)` opens navigator.gpu's device and loads the program
const { device, notice } = await orThrow(openNodeDevice('auto', saved.right));
console.log(notice);
const session = await orThrow(load(device, saved.right));
await orThrow(session.setParameters(Object.fromEntries(saved.right.parameters.map(({ name, shape }) => [name, () => recipeTensor(name, shape)]))));
const { output } = await orThrow(session.run({ x: recipeTensor('x', [2, 16]) }));
const values = await orThrow(output!.read());
console.log([...values].map((value) => value.toFixed(5)).join('  '));
device.destroy();

ok(values.length === 8 && values.every((value) => Number.isFinite(value) && value !== 0), 'two rows of four numbers');

const damaged = parseProgram(printProgram(program.right).replace('"bytes":', '"bites":'));
console.log(E.isLeft(damaged) ? damaged.left.message : '');
ok(E.isLeft(damaged), 'a damaged program is refused, and says where');
