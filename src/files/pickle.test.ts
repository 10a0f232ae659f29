/** Pickles made by CPython 3.11 with every protocol, against the values that were pickled. */
import { expect, test } from 'vitest';
import { pickleOf, text } from './checkpoint-fixture.ts';
import { PickleFault } from './pickle-fault.ts';
import { parsePickle } from './pickle.ts';
import type { Constructors, PickleValue } from './pickle.ts';
import { torchConstructors } from './pickle-globals.ts';

// {'ints': [0, 1, -1, 255, 65535, -7, 2**31, -2**31 - 1, 2**40, 2**63, -2**70], 'floats': [1.5, -0.25, 1e300, inf], 'flags': (True, False, None),
//  'texts': ('x', 'café', '', "it's"), 'bytes': b'\x00\xffA', 'set': {3}, 'frozen': frozenset([2]),
//  'twice': [shared, shared] with shared = ['shared'], 'empty': [(), [], {}], 'tuples': ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
//  'ordered': OrderedDict([('k', 1)])}
const byProtocol: readonly string[] = [
  [
    'KGRwMApWaW50cwpwMQoobHAyCkkwCmFJMQphSS0xCmFJMjU1CmFJNjU1MzUKYUktNwphTDIxNDc0ODM2NDhMCmFMLTIxNDc0ODM2NDlMCmFMMTA5OTUxMTYy',
    'Nzc3NkwKYUw5MjIzMzcyMDM2ODU0Nzc1ODA4TAphTC0xMTgwNTkxNjIwNzE3NDExMzAzNDI0TAphc1ZmbG9hdHMKcDMKKGxwNApGMS41CmFGLTAuMjUKYUYx',
    'ZSszMDAKYUZpbmYKYXNWZmxhZ3MKcDUKKEkwMQpJMDAKTnRwNgpzVnRleHRzCnA3CihWeApwOApWY2Fm6QpwOQpWCnAxMApWaXQncwpwMTEKdHAxMgpzVmJ5',
    'dGVzCnAxMwpjX2NvZGVjcwplbmNvZGUKcDE0CihWXHUwMDAw/0EKcDE1ClZsYXRpbjEKcDE2CnRwMTcKUnAxOApzVnNldApwMTkKY19fYnVpbHRpbl9fCnNl',
    'dApwMjAKKChscDIxCkkzCmF0cDIyClJwMjMKc1Zmcm96ZW4KcDI0CmNfX2J1aWx0aW5fXwpmcm96ZW5zZXQKcDI1CigobHAyNgpJMgphdHAyNwpScDI4CnNW',
    'dHdpY2UKcDI5CihscDMwCihscDMxClZzaGFyZWQKcDMyCmFhZzMxCmFzVmVtcHR5CnAzMwoobHAzNAoodGEobHAzNQphKGRwMzYKYXNWdHVwbGVzCnAzNwoo',
    'KEkxCnRwMzgKKEkxCkkyCnRwMzkKKEkxCkkyCkkzCnRwNDAKKEkxCkkyCkkzCkk0CnRwNDEKdHA0MgpzVm9yZGVyZWQKcDQzCmNjb2xsZWN0aW9ucwpPcmRl',
    'cmVkRGljdApwNDQKKHRScDQ1ClZrCnA0NgpJMQpzcy4=',
  ].join(''),
  [
    'fXEAKFgEAAAAaW50c3EBXXECKEsASwFK/////0v/Tf//Svn///9MMjE0NzQ4MzY0OEwKTC0yMTQ3NDgzNjQ5TApMMTA5OTUxMTYyNzc3NkwKTDkyMjMzNzIw',
    'MzY4NTQ3NzU4MDhMCkwtMTE4MDU5MTYyMDcxNzQxMTMwMzQyNEwKZVgGAAAAZmxvYXRzcQNdcQQoRz/4AAAAAAAAR7/QAAAAAAAAR3435DyIAHWcR3/wAAAA',
    'AAAAZVgFAAAAZmxhZ3NxBShJMDEKSTAwCk50cQZYBQAAAHRleHRzcQcoWAEAAAB4cQhYBQAAAGNhZsOpcQlYAAAAAHEKWAQAAABpdCdzcQt0cQxYBQAAAGJ5',
    'dGVzcQ1jX2NvZGVjcwplbmNvZGUKcQ4oWAQAAAAAw79BcQ9YBgAAAGxhdGluMXEQdHERUnESWAMAAABzZXRxE2NfX2J1aWx0aW5fXwpzZXQKcRQoXXEVSwNh',
    'dHEWUnEXWAYAAABmcm96ZW5xGGNfX2J1aWx0aW5fXwpmcm96ZW5zZXQKcRkoXXEaSwJhdHEbUnEcWAUAAAB0d2ljZXEdXXEeKF1xH1gGAAAAc2hhcmVkcSBh',
    'aB9lWAUAAABlbXB0eXEhXXEiKCldcSN9cSRlWAYAAAB0dXBsZXNxJSgoSwF0cSYoSwFLAnRxJyhLAUsCSwN0cSgoSwFLAksDSwR0cSl0cSpYBwAAAG9yZGVy',
    'ZWRxK2Njb2xsZWN0aW9ucwpPcmRlcmVkRGljdApxLClScS1YAQAAAGtxLksBc3Uu',
  ].join(''),
  [
    'gAJ9cQAoWAQAAABpbnRzcQFdcQIoSwBLAUr/////S/9N//9K+f///4oFAAAAgACKBf///3//igYAAAAAAAGKCQAAAAAAAACAAIoJAAAAAAAAAADAZVgGAAAA',
    'ZmxvYXRzcQNdcQQoRz/4AAAAAAAAR7/QAAAAAAAAR3435DyIAHWcR3/wAAAAAAAAZVgFAAAAZmxhZ3NxBYiJTodxBlgFAAAAdGV4dHNxByhYAQAAAHhxCFgF',
    'AAAAY2Fmw6lxCVgAAAAAcQpYBAAAAGl0J3NxC3RxDFgFAAAAYnl0ZXNxDWNfY29kZWNzCmVuY29kZQpxDlgEAAAAAMO/QXEPWAYAAABsYXRpbjFxEIZxEVJx',
    'ElgDAAAAc2V0cRNjX19idWlsdGluX18Kc2V0CnEUXXEVSwNhhXEWUnEXWAYAAABmcm96ZW5xGGNfX2J1aWx0aW5fXwpmcm96ZW5zZXQKcRldcRpLAmGFcRtS',
    'cRxYBQAAAHR3aWNlcR1dcR4oXXEfWAYAAABzaGFyZWRxIGFoH2VYBQAAAGVtcHR5cSFdcSIoKV1xI31xJGVYBgAAAHR1cGxlc3ElKEsBhXEmSwFLAoZxJ0sB',
    'SwJLA4dxKChLAUsCSwNLBHRxKXRxKlgHAAAAb3JkZXJlZHErY2NvbGxlY3Rpb25zCk9yZGVyZWREaWN0CnEsKVJxLVgBAAAAa3EuSwFzdS4=',
  ].join(''),
  [
    'gAN9cQAoWAQAAABpbnRzcQFdcQIoSwBLAUr/////S/9N//9K+f///4oFAAAAgACKBf///3//igYAAAAAAAGKCQAAAAAAAACAAIoJAAAAAAAAAADAZVgGAAAA',
    'ZmxvYXRzcQNdcQQoRz/4AAAAAAAAR7/QAAAAAAAAR3435DyIAHWcR3/wAAAAAAAAZVgFAAAAZmxhZ3NxBYiJTodxBlgFAAAAdGV4dHNxByhYAQAAAHhxCFgF',
    'AAAAY2Fmw6lxCVgAAAAAcQpYBAAAAGl0J3NxC3RxDFgFAAAAYnl0ZXNxDUMDAP9BcQ5YAwAAAHNldHEPY2J1aWx0aW5zCnNldApxEF1xEUsDYYVxElJxE1gG',
    'AAAAZnJvemVucRRjYnVpbHRpbnMKZnJvemVuc2V0CnEVXXEWSwJhhXEXUnEYWAUAAAB0d2ljZXEZXXEaKF1xG1gGAAAAc2hhcmVkcRxhaBtlWAUAAABlbXB0',
    'eXEdXXEeKCldcR99cSBlWAYAAAB0dXBsZXNxIShLAYVxIksBSwKGcSNLAUsCSwOHcSQoSwFLAksDSwR0cSV0cSZYBwAAAG9yZGVyZWRxJ2Njb2xsZWN0aW9u',
    'cwpPcmRlcmVkRGljdApxKClScSlYAQAAAGtxKksBc3Uu',
  ].join(''),
  [
    'gASVXAEAAAAAAAB9lCiMBGludHOUXZQoSwBLAUr/////S/9N//9K+f///4oFAAAAgACKBf///3//igYAAAAAAAGKCQAAAAAAAACAAIoJAAAAAAAAAADAZYwG',
    'ZmxvYXRzlF2UKEc/+AAAAAAAAEe/0AAAAAAAAEd+N+Q8iAB1nEd/8AAAAAAAAGWMBWZsYWdzlIiJToeUjAV0ZXh0c5QojAF4lIwFY2Fmw6mUjACUjARpdCdz',
    'lHSUjAVieXRlc5RDAwD/QZSMA3NldJSPlChLA5CMBmZyb3plbpQoSwKRlIwFdHdpY2WUXZQoXZSMBnNoYXJlZJRhaBVljAVlbXB0eZRdlCgpXZR9lGWMBnR1',
    'cGxlc5QoSwGFlEsBSwKGlEsBSwJLA4eUKEsBSwJLA0sEdJR0lIwHb3JkZXJlZJSMC2NvbGxlY3Rpb25zlIwLT3JkZXJlZERpY3SUk5QpUpSMAWuUSwFzdS4=',
  ].join(''),
  [
    'gAWVXAEAAAAAAAB9lCiMBGludHOUXZQoSwBLAUr/////S/9N//9K+f///4oFAAAAgACKBf///3//igYAAAAAAAGKCQAAAAAAAACAAIoJAAAAAAAAAADAZYwG',
    'ZmxvYXRzlF2UKEc/+AAAAAAAAEe/0AAAAAAAAEd+N+Q8iAB1nEd/8AAAAAAAAGWMBWZsYWdzlIiJToeUjAV0ZXh0c5QojAF4lIwFY2Fmw6mUjACUjARpdCdz',
    'lHSUjAVieXRlc5RDAwD/QZSMA3NldJSPlChLA5CMBmZyb3plbpQoSwKRlIwFdHdpY2WUXZQoXZSMBnNoYXJlZJRhaBVljAVlbXB0eZRdlCgpXZR9lGWMBnR1',
    'cGxlc5QoSwGFlEsBSwKGlEsBSwJLA4eUKEsBSwJLA0sEdJR0lIwHb3JkZXJlZJSMC2NvbGxlY3Rpb25zlIwLT3JkZXJlZERpY3SUk5QpUpSMAWuUSwFzdS4=',
  ].join(''),
];

const decode = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

const entry = (value: PickleValue, key: string): PickleValue | undefined => (value instanceof Map ? value.get(key) : undefined);

test.each([0, 1, 2, 3, 4, 5])('protocol %i', (protocol) => {
  const value = parsePickle(decode(byProtocol[protocol]!), torchConstructors);
  expect(entry(value, 'ints')).toEqual([0, 1, -1, 255, 65535, -7, 2 ** 31, -(2 ** 31) - 1, 2 ** 40, 2n ** 63n, -(2n ** 70n)]);
  expect(entry(value, 'floats')).toEqual([1.5, -0.25, 1e300, Infinity]);
  expect(entry(value, 'flags')).toEqual([true, false, null]);
  expect(entry(value, 'texts')).toEqual(['x', 'café', '', "it's"]);
  // before protocol 3 bytes are a call of encode on their latin-1 text
  expect(entry(value, 'bytes')).toEqual(protocol < 3 ? '\0\xffA' : Uint8Array.of(0, 255, 65));
  // before protocol 4 sets are a call of set on a list, which stays a list
  expect([...(entry(value, 'set') as Iterable<PickleValue>)]).toEqual([3]);
  expect([...(entry(value, 'frozen') as Iterable<PickleValue>)]).toEqual([2]);
  expect(entry(value, 'twice')).toEqual([['shared'], ['shared']]);
  const [first, second] = entry(value, 'twice') as PickleValue[];
  expect(first).toBe(second);
  expect(entry(value, 'empty')).toEqual([[], [], new Map()]);
  expect(entry(value, 'tuples')).toEqual([[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]);
});

test('every truncation of every protocol is a fault', () => {
  for (const pickle of byProtocol.map(decode))
    for (let length = 0; length < pickle.length; length++)
      expect(() => parsePickle(pickle.subarray(0, length), torchConstructors)).toThrow(PickleFault);
});

test('what a name means is asked of the caller, with module and name apart', () => {
  const asked: string[] = [];
  const constructors: Constructors = { ...torchConstructors, resolve: (module, name) => (asked.push(`${module}|${name}`), null) };
  parsePickle(Uint8Array.from([0x80, 4, 0x8c, 1, 0x61, 0x8c, 3, 0x62, 0x2e, 0x63, 0x93, 0x2e]), constructors);
  parsePickle(pickleOf(Array.from('ca.b\nc\n', (letter) => letter.charCodeAt(0))), constructors);
  expect(asked).toEqual(['a|b.c', 'a.b|c']);
});

test('a pickle of millions of empty dicts ends before the memory does', () => {
  expect(() => parsePickle(new Uint8Array(5_000_000).fill(0x7d), torchConstructors)).toThrow('4000000 opcodes are not believable');
});

test.each([
  ['an extension', [0x82, 1], 'extension registry'],
  ['an empty stack', [0x30], 'no mark is open'],
  ['a value from before the mark', [0x4e, 0x28, 0x85], 'the stack is empty'],
  ['an unknown memory', [0x68, 7], 'nothing was memorised'],
  ['entries on a number', [0x4b, 1, ...text('k'), 0x4e, 0x73], 'no dict'],
  ['items on a number', [0x4b, 1, 0x4e, 0x61], 'no list'],
  ['protocol 6', [0x80, 6], 'protocol 6 is not known'],
  ['a text of 4 GB', [0x58, 255, 255, 255, 255], 'ends in the middle'],
  ['an integer of 2 GB', [0x8b, 255, 255, 255, 127], 'not believable'],
  ['a bare persistent id', [0x4e, 0x51], 'not described as torch.save does'],
])('%s is a fault', (_, code, sentence) => {
  expect(() => parsePickle(pickleOf(code), torchConstructors)).toThrow(sentence);
});
