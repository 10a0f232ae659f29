import * as E from 'fp-ts/Either';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { add, exp, input, matmul, parameter, tap } from '../../dsl/index.ts';
import type { Backend, BackendError, Executable, LoadRequest, Outputs } from './backend.ts';
import { loadFitting } from './batch.ts';
import { openBackend } from './open.ts';
import { referenceBackend } from './reference.ts';

const right = <A>(either: E.Either<BackendError, A>): A => {
  if (E.isLeft(either)) throw new Error(`${either.left.kind}: ${either.left.message}`);
  return either.right;
};
const left = <A>(either: E.Either<BackendError, A>): BackendError => {
  if (E.isRight(either)) throw new Error('this should have been refused');
  return either.left;
};

const loaded = async (backend: Backend, request: Omit<LoadRequest, 'name'>): Promise<Executable> =>
  right(await backend.load({ name: 'test', ...request })());
const numbers = async (outputs: Outputs, name: string): Promise<readonly number[]> => Array.from(right(await outputs[name]!.read()()));

const laws = (name: string, open: () => Promise<Backend>) =>
  describe(name, () => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await open();
    });
    afterAll(() => backend.close());

    const x = input('x', ['n', 2]),
      w = parameter('w', [2, 2]);
    const product = makeGraph({ y: matmul(x, w) }, [x]);

    test('runs a graph at the given sizes', async () => {
      const { run } = await loaded(backend, { graph: product, sizes: { n: 3 }, weights: { w: Float32Array.of(1, 2, 3, 4) } });
      expect(await numbers(right(await run({ x: Float32Array.of(1, 0, 0, 1, 2, 2) })()), 'y')).toEqual([1, 2, 3, 4, 8, 12]);
    });

    test('weights of one source are fetched once, whichever programs use them', async () => {
      let fetched = 0;
      const weights = {
        w: () => {
          fetched++;
          return Float32Array.of(1, 0, 0, 1);
        },
      };
      const first = await loaded(backend, { graph: product, sizes: { n: 1 }, weights });
      const second = await loaded(backend, { graph: product, sizes: { n: 2 }, weights });
      first.dispose();
      expect(await numbers(right(await second.run({ x: Float32Array.of(1, 2, 3, 4) })()), 'y')).toEqual([1, 2, 3, 4]);
      expect(fetched).toBe(1);
    });

    test('a result is fed on without being read, also where the port has another shape', async () => {
      const flat = input('flat', ['k']);
      const doubled = await loaded(backend, { graph: makeGraph({ z: add(flat, flat) }, [flat]), sizes: { k: 4 } });
      const first = await loaded(backend, { graph: product, sizes: { n: 2 }, weights: { w: Float32Array.of(1, 0, 0, 1) } });
      const { y } = right(await first.run({ x: Float32Array.of(1, 2, 3, 4) })());
      expect(await numbers(right(await doubled.run({ flat: y! })()), 'z')).toEqual([2, 4, 6, 8]);
      const uploaded = right(await backend.upload([4], Float32Array.of(1, 1, 2, 2))());
      expect(await numbers(right(await doubled.run({ flat: uploaded })()), 'z')).toEqual([2, 2, 4, 4]);
    });

    test('taps are outputs where they are asked for', async () => {
      const graph = makeGraph({ y: exp(tap(add(x, 1), 'inner')) }, [x]);
      const asked = { graph, sizes: { n: 1 } };
      const plain = right(await (await loaded(backend, asked)).run({ x: Float32Array.of(-1, -1) })());
      const tapped = right(await (await loaded(backend, { ...asked, taps: true })).run({ x: Float32Array.of(-1, 4) })());
      expect(Object.keys(plain)).toEqual(['y']);
      expect(await numbers(tapped, 'inner')).toEqual([0, 5]);
    });

    test('what is wrong is said: unknown sizes, missing weights, inputs of a wrong length', async () => {
      expect(left(await backend.load({ name: 'test', graph: product, sizes: {} })())).toMatchObject({
        kind: 'program',
        message: expect.stringContaining("'n'"),
      });
      expect(left(await backend.load({ name: 'test', graph: product, sizes: { n: 1 } })())).toMatchObject({
        kind: 'input',
        message: expect.stringContaining('parameter w is missing'),
      });
      const broken = {
        w: () => {
          throw new Error('the disk is gone');
        },
      };
      expect(left(await backend.load({ name: 'test', graph: product, sizes: { n: 1 }, weights: broken })()).message).toContain('the disk is gone');
      const { run } = await loaded(backend, { graph: product, sizes: { n: 1 }, weights: { w: new Float32Array(4) } });
      expect(left(await run({ x: new Float32Array(3) })())).toMatchObject({ kind: 'input', message: expect.stringContaining('3 elements given') });
      expect(left(await run({})())).toMatchObject({ kind: 'input', message: expect.stringContaining('input x is missing') });
    });

    test('an aborted signal stops loading and running', async () => {
      const signal = AbortSignal.abort();
      expect(left(await backend.load({ name: 'test', graph: product, sizes: { n: 1 }, weights: { w: new Float32Array(4) }, signal })()).kind).toBe(
        'aborted',
      );
      const { run } = await loaded(backend, { graph: product, sizes: { n: 1 }, weights: { w: new Float32Array(4) } });
      expect(left(await run({ x: new Float32Array(2) }, { signal })()).kind).toBe('aborted');
    });
  });

laws('reference', async () => referenceBackend());
laws('wgsl', async () => right(await openBackend('wgsl')()));
laws('wasm', async () => right(await openBackend('wasm')()));
laws('wasm on one thread', async () => right(await openBackend('wasm', { threads: 1 })()));

test('an adapter that is not there is an error with what there is', async () => {
  expect(left(await openBackend('wgsl', { adapter: 'no such adapter' })())).toMatchObject({
    kind: 'adapter',
    message: expect.stringContaining('no such adapter'),
  });
});

test('the batch is halved until it fits; other errors and a batch of 1 end it', async () => {
  const tried: number[] = [];
  const upTo = (most: number, kind: BackendError['kind']) => (batch: number) => async (): Promise<E.Either<BackendError, string>> => {
    tried.push(batch);
    return batch <= most ? E.right('fits') : E.left({ kind, message: '' });
  };
  expect(right(await loadFitting(13, upTo(3, 'limit'))())).toEqual({ batch: 2, loaded: 'fits' });
  expect(tried.splice(0)).toEqual([13, 7, 4, 2]);
  expect(left(await loadFitting(2, upTo(0, 'memory'))()).kind).toBe('memory');
  expect(tried.splice(0)).toEqual([2, 1]);
  expect(left(await loadFitting(8, upTo(0, 'lost'))()).kind).toBe('lost');
  expect(tried).toEqual([8]);
});
