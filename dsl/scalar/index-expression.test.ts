import { describe, expect, it } from 'vitest';
import { clampIndex, flatten, integer, ofVariable, plus, plusConstant, quotient, remainder, substituteIndex, times, unflatten, variableSupply } from './index-expression.ts';

const variables = (...extents: readonly number[]) => {
  const variable = variableSupply();
  return extents.map((extent) => ofVariable(variable(extent)));
};

describe('index expressions', () => {
  it('cancel quotients and remainders that the ranges prove', () => {
    const [i, j] = variables(8, 64);
    const flat = plus(times(i!, 64), j!);
    expect(quotient(flat, 64).key).toBe(i!.key);
    expect(remainder(flat, 64).key).toBe(j!.key);
  });

  it('put a position together again that was taken apart', () => {
    const [t] = variables(2 * 3 * 5 * 7);
    const shape = [2, 3, 5, 7];
    expect(flatten(unflatten(t!, shape), shape).key).toBe(t!.key);
  });

  it('merge quotients of quotients', () => {
    const [t] = variables(1000);
    expect(quotient(quotient(t!, 4), 5).key).toBe(quotient(t!, 20).key);
  });

  it('know their range', () => {
    const [i, j] = variables(8, 5);
    const x = plusConstant(plus(times(i!, -2), times(j!, 3)), 4);
    expect([x.min, x.max]).toEqual([-10, 16]);
    expect(clampIndex(x, 0, 7).max).toBe(7);
    expect(clampIndex(i!, 0, 7)).toBe(i);
  });

  it('simplify again after a substitution', () => {
    const variable = variableSupply(), k = variable(64), outer = variable(16);
    const run = remainder(plusConstant(ofVariable(k), 0), 16);
    const inner = substituteIndex(run, new Map([[k.id, plusConstant(times(ofVariable(outer), 4), 3)]]), (s) => s);
    expect(inner.key).toBe(plusConstant(times(remainder(ofVariable(outer), 4), 4), 3).key);
  });

  it('treat a variable of extent 1 as 0', () => {
    const [one] = variables(1);
    expect(one!.key).toBe(integer(0).key);
  });
});
