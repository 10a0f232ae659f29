import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Program } from '../../compiler/program.ts';
import { parseProgram, printProgram, programProblems } from './saved-program.ts';
import { firstOfRows, matmul, twoSteps, unary, vectorAdd } from './test-programs.ts';

const problemsOf = (text: string): readonly string[] => {
  const result = parseProgram(text);
  return result._tag === 'Left' && result.left._tag === 'BadProgram' ? result.left.problems : [];
};

type Path = readonly (string | number)[];

/** A copy of the saved program with another value at `path`; undefined takes the field away. */
const withValue = (path: Path, value: unknown): unknown => {
  const copy: unknown = JSON.parse(printProgram(twoSteps(8)));
  // Arrays are records of their indices here; the paths of these tests exist.
  const holder = path.slice(0, -1).reduce((inner, key) => (inner as Record<string, unknown>)[key], copy) as Record<string, unknown>;
  holder[path.at(-1)!] = value;
  return copy;
};

const valueAt = (path: Path): unknown => path.reduce((inner: unknown, key) => (inner as Record<string, unknown>)[key], twoSteps(8)); // as above

test('what is printed is parsed', () => {
  for (const program of [vectorAdd(8), matmul(12), firstOfRows(4), twoSteps(64), unary('f16', 5, 'b0[i]')]) {
    expect(programProblems(program)).toEqual([]);
    expect(parseProgram(printProgram(program))).toEqual({ _tag: 'Right', right: program });
  }
});

test('what is no JSON, or JSON of something else, is refused', () => {
  expect(problemsOf('{"format": ')[0]).toMatch(/^it is not JSON: /);
  expect(problemsOf('[]')).toEqual(['the program is [], not an object']);
  expect(problemsOf('null')).toEqual(['the program is null, not an object']);
  expect(problemsOf('{}')).toContain('format is missing ("pixnerd-program" expected)');
  expect(problemsOf('{}')).toHaveLength(11);
  expect(problemsOf('{"__proto__": {"format": "pixnerd-program"}}')).toContain('format is missing ("pixnerd-program" expected)');
});

describe('a corrupt field is named', () => {
  const cases: readonly (readonly [path: Path, value: unknown, problem: string])[] = [
    [['format'], 'onnx', 'format is "onnx", not "pixnerd-program"'],
    [['version'], 2, 'version is 2, not 1'],
    [['inputs', 0, 'buffer'], 99, 'inputs[0].buffer is 99, there are 4 buffers'],
    [['inputs', 0, 'buffer'], 2, 'inputs[0].buffer is 2, which is of kind scratch'],
    [['outputs', 0, 'shape'], [-8], 'outputs[0].shape[0] is -8, not a whole number from 0'],
    [['outputs', 0, 'shape'], [9, 9], 'outputs[0] has 324 bytes, its buffer 32'],
    [['outputs', 0, 'shape'], [2 ** 40, 2 ** 40], `outputs[0] has ${2 ** 82} bytes, its buffer 32`],
    [['outputs', 0, 'dtype'], 'f64', 'outputs[0].dtype is "f64", not "f32" or "f16" or "i32" or "u32" or "bool"'],
    [['outputs', 1, 'name'], 'out', 'outputs[1].name "out" is there twice'],
    [['buffers', 0, 'kind'], 'heap', 'buffers[0].kind is "heap", not "input" or "parameter" or "constant" or "scratch" or "output"'],
    [['buffers', 2, 'bytes'], 24, 'buffers[2].bytes is 24, not a positive multiple of 16'],
    [['buffers', 2, 'bytes'], 1e300, 'buffers[2].bytes is 1e+300, not a positive multiple of 16'],
    [['buffers', 1, 'data'], undefined, 'buffers[1].data is missing (a constant has data)'],
    [['buffers', 1, 'data'], '*', 'buffers[1].data is "*", not base64 text'],
    [['buffers', 1, 'data'], 'AAAA'.repeat(8), 'buffers[1].data has 24 bytes, its buffer 16'],
    [['buffers', 0, 'data'], 'AAAA', 'buffers[0].data is there, but only constants have data'],
    [['inputs'], [], 'buffers[0] is of kind input, and 0 inputs fill it'],
    [['kernels', 0, 'name'], 'a b', 'kernels[0].name is "a b", not a WGSL identifier'],
    [['kernels', 0, 'name'], 'k1_square', 'kernels[1].name "k1_square" is there twice'],
    [['kernels', 0, 'bindings', 0], 'write', 'kernels[0].bindings[0] is "write", not "read" or "read_write"'],
    [['kernels', 0, 'workgroupSize'], [1], 'kernels[0].workgroupSize is [1], not a list of 3'],
    [['dispatches', 1, 'kernel'], 2, 'dispatches[1].kernel is 2, there are 2 kernels'],
    [
      ['dispatches', 1, 'bindings'],
      [{ buffer: 2, offset: 0, bytes: 32 }],
      'dispatches[1].bindings has 1 entries, kernel k1_square has 2 bindings',
    ],
    [['dispatches', 0, 'bindings', 0, 'offset'], 16, 'dispatches[0].bindings[0] ends at byte 48, buffer 0 has 32'],
    [['dispatches', 0, 'bindings', 0, 'bytes'], 0, 'dispatches[0].bindings[0].bytes is 0, not a positive multiple of 4'],
    [['dispatches', 1, 'bindings', 1, 'buffer'], 0, 'dispatches[1].bindings[1] writes to buffer 0, which is of kind input'],
    [
      ['dispatches', 1, 'bindings', 0, 'buffer'],
      3,
      'dispatches[1].bindings[1] writes to buffer 3, which bindings[0] of kernel k1_square also uses',
    ],
    [['dispatches', 0, 'workgroups'], [1, 1.5, 1], 'dispatches[0].workgroups[1] is 1.5, not a whole number from 0'],
    [['limits'], { maxBufferSize: 'big' }, 'limits.maxBufferSize is "big", not a whole number from 0'],
    [['features'], 'shader-f16', 'features is "shader-f16", not a list'],
  ];
  test.each(cases)('%j = %j', (path, value, problem) => expect(problemsOf(JSON.stringify(withValue(path, value)))).toContain(problem));
});

/** Every path of a JSON value. */
const paths = (value: unknown, path: Path = []): readonly Path[] =>
  typeof value === 'object' && value !== null
    ? [path, ...Object.entries(value).flatMap(([key, inner]) => paths(inner, [...path, key]))]
    : [path];

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value);

describe('the scales of int8 parameters', () => {
  const good = firstOfRows(4),
    [w, scale] = good.parameters;
  const problems = (...parameters: Program['parameters']): string => programProblems({ ...good, parameters }).join('; ');
  test.each([
    [[{ ...w!, scale: 'gone' }, scale!], 'parameters[0].scale is "gone", which is no parameter; an i8 parameter needs its scales'],
    [[{ ...w!, scale: 'w' }, scale!], 'parameters[0].scale is i8[4, 8], not an f32 for each row of [4, 8]'],
    [[w!, { ...scale!, shape: [2] }], 'parameters[0].scale is f32[2], not an f32 for each row of [4, 8]'],
    [[{ ...w!, dtype: 'f32' as const, shape: [4, 2] }, scale!], 'parameters[0].scale is there, but only i8 parameters have scales'],
    [[w!, scale!, { ...w!, name: 'v' }], 'parameters[2].scale is "w.scale", which another parameter fills'],
  ])('%#', (parameters, message) => expect(problems(...parameters)).toContain(message));

  test('no input or output is int8', () => {
    expect(programProblems({ ...good, outputs: [{ ...good.outputs[0]!, dtype: 'i8' }] })[0]).toMatch(/^outputs\[0\].dtype is "i8", not/);
  });
});

test('no change of one field makes the parser throw, and none that breaks a type passes', () => {
  const all = paths(twoSteps(8)).filter((path) => path.length > 0);
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.jsonValue(), (path, value) => {
      const result = parseProgram(JSON.stringify(withValue(path, value)));
      return result._tag === 'Left' || kindOf(value) === kindOf(valueAt(path));
    }),
    { numRuns: 2000 },
  );
});

test('many problems are cut to twenty and their number', () => {
  const broken = { ...vectorAdd(8), features: Array.from({ length: 100 }, () => 1) } as unknown as Program; // broken on purpose
  const problems = problemsOf(JSON.stringify(broken));
  expect(problems).toHaveLength(21);
  expect(problems.at(-1)).toBe('and 80 more');
});
