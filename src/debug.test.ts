import { afterEach, expect, test, vi } from 'vitest';
import { compile } from '../compiler/compile.ts';
import { add, exp, input, mul, trace } from '../dsl/index.ts';
import { compileAloud, setDebug } from './debug.ts';

const graph = trace((x) => add(mul(exp(x), 1), exp(x)), [input('x', ['n', 4])]);
const options = { sizes: { n: 3 }, name: 'sum' };

afterEach(() => { setDebug(0); vi.restoreAllMocks(); });

/** What is said at a level. */
const said = (level: number): string => {
  const lines: string[] = [];
  vi.spyOn(console, 'error').mockImplementation((line: string) => { lines.push(line); });
  setDebug(level);
  expect(compileAloud(graph, options)).toEqual(compile(graph, options));
  return lines.join('\n');
};

test('at level 0 nothing is said', () => expect(said(0)).toBe(''));
test('each level says more than the one before', () => {
  const texts = [1, 2, 3, 4, 5].map(said);
  const marks = [/compiled sum in .*1 kernels[\s\S]*ms {2}algebra/, /%\d = exp/, /parallel i0 < 12/, /@compute/, /x · 1 = x/];
  for (const [i, text] of texts.entries()) expect(marks.map((mark) => mark.test(text))).toEqual(marks.map((_, k) => k <= i));
});
