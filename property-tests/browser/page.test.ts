/**
 * A page in headless Chromium runs one program on WebAssembly, with threads and without, and on WebGPU: all stay within the bound of the
 * reference, and agree within it. CHROMIUM names the browser; without one the test is skipped.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { expect, test } from 'vitest';
import { PROFILES } from '../../compiler/profile.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { type Graph, inputName, makeGraph } from '../../dsl/graph/graph.ts';
import { add, attention, input, linear, parameter, rmsNorm, silu } from '../../dsl/index.ts';
import { OPS } from '../../dsl/ops/table.ts';
import { recipeTensor } from '../../models/recipe.ts';
import { printProgram } from '../../src/runtime/saved-program.ts';
import { expectSame, expectWithinBound } from '../harness/compare.ts';
import { compiled } from '../harness/run-program.ts';
import { compiledForWasm } from '../harness/run-wasm.ts';

const browser = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const FLAGS = ['--headless=new', '--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader'];

/** Norms, products, attention, an activation: on sizes that no tile divides. */
const network = (): Graph => {
  const x = input('x', [37, 24]), g = parameter('g', [24]), [q, k, v, w] = ['q', 'k', 'v', 'w'].map((name) => parameter(name, [24, 24])) as [ReturnType<typeof square>, ReturnType<typeof square>, ReturnType<typeof square>, ReturnType<typeof square>];
  const normed = rmsNorm(x, g, 1e-6), mixed = add(x, attention(linear(normed, q), linear(normed, k), linear(normed, v), { causal: true }));
  return makeGraph({ y: add(mixed, silu(linear(mixed, w))) }, [x]);
};
const square = () => parameter('q', [24, 24]);

const bundle = (entry: string): string =>
  buildSync({ entryPoints: [join(import.meta.dirname, '../../src/runtime', entry)], bundle: true, platform: 'browser', format: 'esm', target: 'es2022', write: false }).outputFiles[0]!.text;

const SCRIPT = `
import { openSavedProgram } from './runtime.js';
import { openSavedWasmProgram } from './wasm.js';
const right = async (task) => { const made = await task(); if (made._tag === 'Left') throw new Error(made.left.message); return made.right; };
const floats = (record) => Object.fromEntries(Object.entries(record).map(([name, values]) => [name, Float32Array.from(values)]));
const say = (result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) });
try {
  const text = async (name) => (await fetch(name)).text(), { inputs, parameters } = JSON.parse(await text('data.json'));
  const run = async ({ session }) => {
    await right(session.setParameters(floats(parameters)));
    const { y } = await right(session.run(floats(inputs)));
    return Array.from(await right(y.read()));
  };
  const wasm = await text('wasm.json');
  await say({
    isolated: crossOriginIsolated,
    webgpu: await run(await right(openSavedProgram(await text('wgsl.json')))),
    threads: await run(await right(openSavedWasmProgram(wasm, { threads: 2 }))),
    alone: await run(await right(openSavedWasmProgram(wasm, { threads: 1 }))),
  });
} catch (thrown) { await say({ problem: String(thrown && thrown.stack || thrown) }); }
`;

interface PageResult {
  readonly problem?: string;
  readonly isolated: boolean;
  readonly webgpu: readonly number[];
  readonly threads: readonly number[];
  readonly alone: readonly number[];
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
};

/** What the page says of the files that it is served with. */
const inBrowser = (files: Readonly<Record<string, string>>): Promise<PageResult> =>
  new Promise((resolve, reject) => {
    void (async () => {
      const profile = await mkdtemp(join(tmpdir(), 'pixnerd-page-'));
      const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        const name = (request.url ?? '/').slice(1) || 'index.html';
        if (request.method === 'POST') {
          const result = JSON.parse(await bodyOf(request)) as PageResult; // our script's
          response.end();
          end(() => resolve(result));
          return;
        }
        const type = name.endsWith('.html') ? 'text/html' : name.endsWith('.js') ? 'text/javascript' : 'application/json';
        response.writeHead(files[name] === undefined ? 404 : 200, { 'content-type': type, 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' });
        response.end(files[name] ?? '');
      };
      const server = createServer((request, response) => void answer(request, response));
      await new Promise<void>((listening) => { server.listen(0, '127.0.0.1', listening); });
      const child = spawn(browser, [...FLAGS, `--user-data-dir=${profile}`, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`], { stdio: 'ignore' });
      const timer = setTimeout(() => end(() => reject(new Error('the page said nothing within two minutes'))), 120_000);
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        child.kill();
        server.close();
        server.closeAllConnections();
        child.once('exit', () => void rm(profile, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined).then(settle));
      };
    })().catch(reject);
  });

test.runIf(existsSync(browser))('a page computes the same on WebAssembly and on WebGPU', async () => {
  const graph = network(), nodes = [...graph.inputs, ...graph.parameters];
  const data = Object.fromEntries(nodes.map((node) => [inputName(node), recipeTensor(`page.${inputName(node)}`, node.shape as number[])])); // all sizes are numbers
  const listed = (ports: Graph['inputs']) => Object.fromEntries(ports.map((node) => [inputName(node), Array.from(data[inputName(node)]!)]));
  const result = await inBrowser({
    'index.html': '<!doctype html><script type="module" src="script.js"></script>', 'script.js': SCRIPT, 'runtime.js': bundle('browser.ts'), 'wasm.js': bundle('wasm/browser.ts'),
    'wgsl.json': printProgram(compiled(graph, { profile: PROFILES.cpu }).program), 'wasm.json': printProgram(compiledForWasm(graph).program),
    'data.json': JSON.stringify({ inputs: listed(graph.inputs), parameters: listed(graph.parameters) }),
  });
  expect(result.problem).toBeUndefined();
  expect(result.isolated, 'a page with these headers may share memory').toBe(true);
  const subject = { graph, want: evaluateBounded(graph, data, OPS) };
  for (const y of [result.webgpu, result.threads, result.alone]) expectWithinBound(subject, { y });
  expectSame(subject, { y: result.webgpu }, { y: result.threads });
  expect(result.threads, 'no result depends on the number of threads').toEqual(result.alone);
}, 180_000);
