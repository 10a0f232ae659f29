/** The report, as page and as text: whole, well-formed, in need of nothing else, true to the plan, and safe whatever models are called. */
import { Script } from 'node:vm';
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { explainReason } from '../../compiler/analysis/neighbours.ts';
import { explain, type CompileOptions } from '../../compiler/compile.ts';
import { PROFILES } from '../../compiler/profile.ts';
import { ROOFLINES } from '../../compiler/roofline.ts';
import type { Graph } from '../../dsl/graph/graph.ts';
import { scoped, withSources } from '../../dsl/graph/node.ts';
import { attention, input, layers, module, repeat, silu, type T, trace } from '../../dsl/index.ts';
import { PRESETS, sizesOf } from '../../models/pixnerd/config.ts';
import { velocityGraph } from '../../models/pixnerd/graph.ts';
import { blocksOf, grouped } from './blocks.ts';
import { html } from './html.ts';
import { reportPage } from './page.ts';
import { SCRIPT } from './page-script.ts';
import { positionsFrom } from './positions.ts';
import { type Report, reportOf } from './report.ts';
import { reportText } from './text.ts';

const reportOfGraph = (graph: Graph, options: CompileOptions): Report => {
  const made = explain(graph, options);
  if (E.isLeft(made)) throw new Error(made.left[0].message);
  return reportOf(made.right, { adapter: 'gpu', positions: positionsFrom() });
};

const fashion = (profile: 'cpu' | 'gpu' = 'gpu'): Report => {
  const sizes = sizesOf(PRESETS.fashion, { batch: 1, height: 32, width: 32 });
  if (E.isLeft(sizes)) throw new Error(sizes.left[0]);
  return reportOfGraph(withSources(() => velocityGraph(PRESETS.fashion)), { name: 'fashion', sizes: sizes.right, profile: PROFILES[profile] });
};

const EVIL = `<script>alert("&'")</script>`;
const layer = module({ weight: layers.linear('D', 'D') }, (p) => (x: T<['B', 'N', 'D']>) => scoped(EVIL, () => p.weight(attention(x, x, silu(x)))));
const stacked = module({ rows: repeat(3, layer) }, (p) => (x: T<['B', 'N', 'D']>) => p.rows.reduce((y, one) => one(y), x));
/** A model of somebody else, with names that would break a careless page. */
const evil = (): Report => reportOfGraph(withSources(() => trace(stacked, [input('x', ['B', 'N', 'D'])])), { name: EVIL, sizes: { B: 2, N: 64, D: 32 } });

const page = (report: Report): string => reportPage(report, { rooflines: [ROOFLINES.laptop, ROOFLINES.h200, ROOFLINES.lavapipe], about: EVIL, aboutPart: () => EVIL });

const VOID = new Set(['meta', 'input', 'link', 'br', 'img', '!doctype']);
/** Whatever is wrong with the nesting of elements; text of scripts and styles is passed over. */
const nestingProblems = (text: string): readonly string[] => {
  const open: string[] = [], problems: string[] = [];
  const tags = text.replace(/(<(script|style)\b[^>]*>)[\s\S]*?(<\/\2>)/g, '$1$3').matchAll(/<(\/?)([a-zA-Z!][\w-]*)((?:\s+[\w-]+(?:="[^"<]*")?)*)\s*(\/?)>|</g);
  for (const [whole, closing, name, , selfClosing] of tags) {
    if (name === undefined) problems.push(`a bare ${whole}`);
    else if (closing === '/') {
      const last = open.pop();
      if (last !== name) problems.push(`</${name}> ends <${last}>`);
    } else if (selfClosing !== '/' && !VOID.has(name.toLowerCase())) open.push(name);
  }
  return [...problems, ...open.map((name) => `<${name}> is never closed`)];
};

describe.each([['fashion', fashion], ['a model with bad names', evil]] as const)('the page of %s', (_name, make) => {
  const report = make(), text = page(report);
  const matches = (pattern: RegExp): readonly string[] => [...text.matchAll(pattern)].map((match) => match[1]!); // patterns have a group

  test('is well-formed', () => {
    expect(nestingProblems(text)).toEqual([]);
    const ids = matches(/ id="([^"]*)"/g);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('needs nothing else', () => {
    expect(text).not.toMatch(/https?:\/\//);
    expect(text).not.toMatch(/<link|<img|<iframe|@import|url\(|fetch\(|\ssrc=/);
  });

  test('has every kernel once, and every link leads somewhere', () => {
    expect(matches(/<tr id="k\d+" data-kernel="(\d+)"/g).map(Number)).toEqual(report.kernels.map(({ index }) => index));
    const ids = new Set(matches(/ id="([^"]*)"/g));
    expect(matches(/ href="#([^"]*)"/g).filter((target) => !ids.has(target))).toEqual([]);
  });

  test('carries the data of its kernels', () => {
    const { values, kernels } = JSON.parse(matches(/<script type="application\/json" id="data">(.*?)<\/script>/g)[0]!) as { readonly values: readonly unknown[]; readonly kernels: readonly (readonly [string, number, number])[] }; // made by kernelData
    kernels.forEach(([name, , shared], k) => {
      const { wgsl, same } = values[shared] as { readonly wgsl: number; readonly same: number }; // likewise
      expect(name).toBe(report.kernels[k]!.name);
      expect(values[wgsl]).toBe(report.kernels[same]!.wgsl);
    });
  });

  test('shows names as they are, and runs none of them', () => {
    expect(text).not.toContain('<script>alert');
    expect(text).toContain('&lt;script&gt;alert(&quot;&amp;&#39;&quot;)&lt;/script&gt;');
  });
});

test('the script of the page is JavaScript', () => {
  expect(() => new Script(SCRIPT)).not.toThrow();
});

test('html escapes everything but html', () => {
  const inner = html`<i>${'<'}</i>`;
  expect(html`<b title="${'"'}">${inner}${[1, '&', undefined]}</b>`.html).toBe('<b title="&quot;"><i>&lt;</i>1&amp;</b>');
});

describe('the report', () => {
  const report = fashion();

  test('finds the lines of the model', () => {
    const lines = report.kernels.flatMap(({ sources }) => sources);
    expect(report.kernels.filter(({ sources, kind }) => sources.length === 0 && kind !== 'copy')).toEqual([]);
    expect(new Set(lines.map(({ file }) => file.replace(/\w+\.ts$/, '')))).toEqual(new Set(['models/pixnerd/']));
    const network = report.kernels.find(({ sources }) => sources.some(({ text }) => text?.includes('p.w2(mul(silu(p.w1(x)), p.w3(x)))') === true))!;
    expect(network.path).toMatch(/^blocks\.\d+\.mlp/);
    expect(network.callers.map(({ file }) => file)).toContain('models/pixnerd/pixnerd.ts');
  });

  test('finds the lines of a model outside the package folders of models', () => {
    expect(evil().kernels.flatMap(({ sources }) => sources).map(({ file }) => file)).toContain('src/explain/page.test.ts');
  });

  test('finds repeated blocks', () => {
    const groups = grouped(blocksOf(report.kernels), report.parameters.weights);
    expect(groups.map(({ first, repeats }) => [first.name, repeats.length])).toEqual(expect.arrayContaining([['blocks.0', 4]]));
    expect(groups.flatMap(({ first, repeats }) => [first, ...repeats]).flatMap(({ kernels }) => kernels).map(({ index }) => index).sort((a, b) => a - b)).toEqual(report.kernels.map(({ index }) => index));
  });

  test.each(['cpu', 'gpu'] as const)('has a sentence for every reason that fusion gives on %s', (profile) => {
    const { neighbours, kernels } = fashion(profile), reasons = [...neighbours, ...kernels].map(({ reason }) => reason);
    expect([...new Set(reasons)].filter((reason) => explainReason(reason) === reason)).toEqual([]);
  });

  test('counts the arithmetic of the model: twice the weights that each token meets, at least', () => {
    const { num_cond_blocks: blocks, hidden_size: D } = PRESETS.fashion, tokens = 16, F = Math.trunc((8 * D) / 3);
    expect(report.flops).toBeGreaterThan(2 * tokens * blocks * (4 * D * D + 3 * D * F));
    expect(report.bytes).toBeGreaterThan(report.memory.weights * 0.9); // a class table is read in part
  });

  test('as text: a line for each kernel where asked for, totals, reasons', () => {
    const options = { roofline: ROOFLINES.laptop, others: [ROOFLINES.h200] }, all = reportText(report, { ...options, all: true });
    expect(all.match(/^ {2}k\d+ /gm)).toHaveLength(report.kernels.length);
    const folded = reportText(report, { ...options, all: false });
    expect(folded.match(/^ {2}k\d+ /gm)!.length).toBeLessThan(report.kernels.length / 2);
    expect(folded).toContain('1.80 million parameters');
    expect(folded).toContain('why neighbours were not fused');
  });
});
