/**
 * What the compiler tells while it works, on stderr: DEBUG=1 passes and their times, 2 graphs too, 3 kernels, 4 WGSL, 5 every rewrite.
 *
 * Invariant: the level is read once, and at 0 nothing is kept or printed. Other values of DEBUG belong to other programs.
 */
import * as E from 'fp-ts/Either';
import { compile, type CompileOptions, type Compilation, explain } from '../compiler/compile.ts';
import { printKernels } from '../compiler/kernels/print.ts';
import { printStages } from '../compiler/passes/pipeline.ts';
import { summarize } from '../compiler/program.ts';
import { type Graph, nodesOf } from '../dsl/graph/graph.ts';

const environment = (): string => (globalThis as { readonly process?: { readonly env: Readonly<Record<string, string | undefined>> } }).process?.env['DEBUG'] ?? ''; // browsers have none

const levelIn = (text: string): number => (/^[1-5]$/.test(text) ? Number(text) : 0);
let level = levelIn(environment());

/** Sets the level, 0 to 5, where there is no environment. */
export const setDebug = (wanted: number): void => { level = levelIn(String(wanted)); };

const say = (text: string): void => console.error(text);

const report = (name: string, { stages, kernels, program }: Compilation, milliseconds: number): void => {
  const { kernels: shaders, dispatches, peakBytes } = summarize(program);
  say(`compiled ${name} in ${milliseconds.toFixed(1)} ms: ${shaders} kernels, ${dispatches} dispatches, ${(peakBytes / 2 ** 20).toFixed(1)} MiB`);
  for (const stage of stages) say(`  ${stage.milliseconds.toFixed(1).padStart(8)} ms  ${stage.name}: ${nodesOf(stage.graph).length} nodes`);
  if (level >= 2) say(printStages(stages));
  if (level >= 3) say(printKernels(kernels));
  if (level >= 4) for (const kernel of program.kernels) say(`// ${kernel.name}\n${kernel.wgsl}`);
};

const logRewrite: NonNullable<CompileOptions['log']> = ({ pass, rule, before, after }) => say(`${pass}: ${rule}\n${before}\n  becomes\n${after}\n`);

/** `compile`, telling what it does as far as the level asks for it. */
export const compileAloud = (graph: Graph, options: CompileOptions = {}): ReturnType<typeof compile> => {
  if (level === 0) return compile(graph, options);
  const start = performance.now();
  const made = explain(graph, level >= 5 ? { log: logRewrite, ...options } : options);
  if (E.isRight(made)) report(options.name ?? 'program', made.right, performance.now() - start);
  return E.map(({ program }: Compilation) => program)(made);
};
