/** Random calls of the language as source text, right and wrong ones: the same text is type-checked and run. */
import fc from 'fast-check';
import type { Dim } from '../../dsl/shape/dim.ts';

type Text = fc.Arbitrary<string>;
type Shape = readonly Dim[];

const oneOf = <const X>(...values: readonly X[]): fc.Arbitrary<X> => fc.constantFrom(...values);
const DIMS: readonly Dim[] = [1, 2, 3, 4, 6, 8, 12, 16, 64, 1152, 'B', 'N', 'h*w', '16*h', '6*D', '2*H*J', 'D', '(C+64)', '(T+h*w)', '(2*B+N+3)'];
const dim = fc.constantFrom(...DIMS);
const shapeOf = (minLength: number, maxLength: number): fc.Arbitrary<Shape> => fc.array(dim, { minLength, maxLength });
const anyShape = shapeOf(1, 4);
/** Each dimension is replaced now and then, so that about half the calls are wrong. */
const disturbed = (shape: Shape, percent = 12): fc.Arbitrary<Shape> =>
  fc.tuple(...shape.map((d) => fc.tuple(fc.integer({ min: 0, max: 99 }), dim).map(([dice, other]) => (dice < percent ? other : d))));
const axisOf = (shape: Shape): fc.Arbitrary<number> =>
  fc
    .oneof(
      { weight: 5, arbitrary: fc.integer({ min: -shape.length, max: Math.max(0, shape.length - 1) }) },
      { weight: 1, arbitrary: fc.integer({ min: -6, max: 6 }) },
    )
    .map((axis) => axis + 0); // no -0
const dtype = fc.oneof({ weight: 8, arbitrary: fc.constant('f32') }, { weight: 1, arbitrary: oneOf('f16', 'i32', 'u32', 'bool') });

const text = (value: unknown): string => JSON.stringify(value);
const tensor = (shape: Shape, type = 'f32'): string => `input('x', ${text(shape)}, '${type}')`;
const call = (op: string, ...operands: readonly string[]): string => `${op}(${operands.join(', ')})`;

/** Shapes that often broadcast: some dimensions 1, some leading ones missing. */
const partner = (shape: Shape): fc.Arbitrary<Shape> =>
  fc
    .tuple(disturbed(shape, 8), fc.integer({ min: 0, max: shape.length - 1 }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }))
    .map(([dims, dropped, ones]) => dims.map((d, i) => (ones[i] === true ? 1 : d)).slice(dropped));

const binary: Text = fc
  .tuple(oneOf('add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'and', 'eq', 'lt', 'ge', 'ne'), anyShape, dtype, dtype)
  .chain(([op, a, x, y]) =>
    fc.oneof(
      partner(a).map((b) => call(op, tensor(a, x), tensor(b, y))),
      partner(a).map((b) => call(op, tensor(b, x), tensor(a, x))),
      fc.constant(call(op, tensor(a, x), '2')),
      fc.constant(call(op, '2', tensor(a, x))),
    ),
  );
const unary: Text = fc
  .tuple(oneOf('exp', 'neg', 'sqrt', 'floor', 'not', 'square', 'silu', 'gelu', 'tanh', 'sigmoid'), anyShape, dtype)
  .map(([op, shape, type]) => call(op, tensor(shape, type)));
const select: Text = fc
  .tuple(anyShape, oneOf('bool', 'bool', 'bool', 'f32'), dtype)
  .chain(([shape, type, other]) =>
    fc
      .tuple(partner(shape), partner(shape), oneOf('f32', 'f32', 'f32', other))
      .chain(([a, b, y]) =>
        oneOf(
          call('select', tensor(shape, type), tensor(a), tensor(b, y)),
          call('select', tensor(a, type), tensor(b), '0'),
          call('select', tensor(a, type), '1', '0'),
        ),
      ),
  );

const reduction: Text = fc
  .tuple(oneOf('sum', 'mean', 'max', 'min'), anyShape, dtype)
  .chain(([op, shape, type]) =>
    fc
      .oneof(axisOf(shape).map(text), fc.array(axisOf(shape), { maxLength: 3 }).map(text))
      .chain((axes) => oneOf(call(op, tensor(shape, type), axes), call(op, tensor(shape, type), axes, 'true'))),
  );
const alongAxis: Text = fc
  .tuple(oneOf('softmax', 'l2Normalize', 'logSumExp', 'unsqueeze', 'squeeze'), anyShape, dtype)
  .chain(([op, shape, type]) => axisOf(shape).map((axis) => call(op, tensor(shape, type), text(axis))));
const norm: Text = fc
  .tuple(anyShape, oneOf('rmsNorm', 'layerNorm'), dtype)
  .chain(([shape, op, type]) =>
    disturbed(shape.slice(-1)).map((weight) =>
      call(op, tensor(shape), tensor(weight, type), ...(op === 'layerNorm' ? [tensor(shape.slice(-1))] : [])),
    ),
  );

const matmul: Text = fc
  .tuple(shapeOf(0, 2), dim, dim, dim)
  .chain(([lead, m, k, n]) =>
    fc
      .tuple(disturbed([...lead, m, k], 6), partner([...lead, k, n]), fc.boolean())
      .map(([a, b, plain]) => call('matmul', tensor(a), tensor(plain ? [...lead, k, n] : b))),
  );
const linear: Text = fc
  .tuple(shapeOf(0, 3), dim, dim)
  .chain(([lead, n, k]) => disturbed([n, k]).map((weight) => call('linear', tensor([...lead, k]), tensor(weight))));
const attention: Text = fc
  .tuple(shapeOf(0, 2), dim, dim, dim, dim)
  .chain(([lead, n, m, d, e]) =>
    fc
      .tuple(disturbed([...lead, m, d], 5), disturbed([...lead, m, e], 5), partner([...lead, n, m]), oneOf('bool', 'bool', 'f32'))
      .chain(([k, v, mask, type]) =>
        oneOf(
          call('attention', tensor([...lead, n, d]), tensor(k), tensor(v)),
          call('attention', tensor([...lead, n, d]), tensor(k), tensor(v), `{ mask: ${tensor(mask, type)} }`),
        ),
      ),
  );
const rope: Text = fc
  .tuple(shapeOf(0, 2), dim, oneOf<Dim>(2, 8, 'J', '2*J', 'H'))
  .chain(([lead, n, half]) =>
    fc
      .tuple(disturbed([n, half], 5), oneOf<Dim>(typeof half === 'number' ? 2 * half : half === '2*J' ? '4*J' : `2*${half}`, 7, 'D'))
      .map(([table, head]) => call('rope', tensor([...lead, n, head]), tensor(table), tensor([n, half]))),
  );
const einsum: Text = fc.oneof(
  fc
    .tuple(dim, dim, dim, dim)
    .chain(([b, i, j, k]) =>
      fc
        .tuple(
          disturbed([b, j, k], 6),
          oneOf(
            'b i j, b j k -> b i k',
            'b i j, b j k -> k i b',
            '*l i j, b j k -> i k',
            'b i j, b j k',
            'b i i, b j k -> b',
            'b i j, b j k -> b q',
            'b (i j), b j k -> b',
          ),
        )
        .map(([second, pattern]) => call('einsum', text(pattern), tensor([b, i, j]), tensor(second))),
    ),
  fc
    .tuple(anyShape, oneOf('a b c -> c a', '*r a -> a', 'a *r -> *r', 'a b -> ', 'a a -> a'))
    .map(([shape, pattern]) => call('einsum', text(pattern), tensor(shape))),
);

const reshape: Text = shapeOf(2, 4).chain((shape) =>
  fc
    .tuple(fc.shuffledSubarray([...shape], { minLength: shape.length }), oneOf('plain', 'disturbed', 'rest', 'rest', 'twice'), dim)
    .chain(([order, kind, other]) =>
      (kind === 'disturbed'
        ? disturbed(order, 25)
        : fc.constant(kind === 'plain' ? order : kind === 'rest' ? [...order.slice(1, -1), -1, order[0]!] : [-1, other, -1])
      ).map((to) => call('reshape', tensor(shape), text(to))),
    ),
);
const whole: Text = fc
  .tuple(anyShape, oneOf('expand', 'is', 'full', 'input', 'resize', 'iota', 'linspace'), oneOf<Dim>('w*h', 'b*a*3', 0, 'N'))
  .chain(([shape, kind, odd]) =>
    fc
      .tuple(partner(shape), disturbed(shape))
      .map(([small, close]) =>
        kind === 'expand'
          ? call('expand', tensor(small), text(shape))
          : kind === 'is'
            ? call('is', tensor(shape), text(close))
            : kind === 'full'
              ? call('full', text([...shape, odd]), '0')
              : kind === 'input'
                ? call('input', "'y'", text([...shape, odd]))
                : kind === 'resize'
                  ? call('resizeNearest', tensor(shape), text([close[0], odd]))
                  : kind === 'iota'
                    ? call('iota', text(odd))
                    : call('linspace', '0', "'h'", text(odd)),
      ),
  );
const swap: Text = shapeOf(1, 4).chain((shape) =>
  fc.tuple(axisOf(shape), axisOf(shape)).map(([a, b]) => call('transpose', tensor(shape), text(a), text(b))),
);
const permute: Text = shapeOf(1, 4).chain((shape) =>
  fc
    .oneof(
      fc.shuffledSubarray(
        shape.map((_, i) => i),
        { minLength: shape.length },
      ),
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
    )
    .map((axes) => call('permute', tensor(shape), text(axes))),
);
const part: Text = anyShape.chain((shape) =>
  fc
    .tuple(axisOf(shape), oneOf<Dim>(0, 1, 3, 'B', 'h*w'), oneOf<Dim>(1, 2, 5, 64, 'B', 'w*h', '8*h', 'D'), fc.integer({ min: 1, max: 3 }))
    .chain(([axis, start, size, step]) =>
      oneOf(
        call('slice', tensor(shape), text(axis), text(start), text(size)),
        call('slice', tensor(shape), text(axis), text(start), text(size), text(step)),
        call('index', tensor(shape), text(axis), text(size)),
        call('pad', tensor(shape), text(axis), text(start), text(size)),
        call('chunk', tensor(shape), text(axis), text(step)),
        call('chunk', tensor(shape), text(2 * step), text(axis)),
      ),
    ),
);
const split: Text = fc
  .tuple(shapeOf(1, 3), fc.integer({ min: 0, max: 2 }))
  .chain(([shape, k]) =>
    fc
      .tuple(axisOf(shape), oneOf<Shape>([1, 2], ['B', 'N'], ['h*w', 'T'], ['w*h', 'T'], [4, 4, 4], ['5*D', 'D'], ['B', 'B', 'N', 3]))
      .map(([axis, sizes]) =>
        call('split', tensor(shape.map((d, i) => (i === k ? (sizes.length === 3 ? 12 : '(B+N)') : d))), text(sizes), text(axis)),
      ),
  );
const join: Text = shapeOf(1, 3).chain((shape) =>
  fc.tuple(axisOf(shape), disturbed(shape, 10), dim, dtype, oneOf('concat', 'stackTensors')).map(([axis, close, other, type, op]) => {
    const at = axis < 0 ? axis + shape.length : axis;
    const second = op === 'concat' ? close.map((d, i) => (i === at ? other : d)) : close;
    return call(op, `[${tensor(shape)}, ${tensor(second, type)}]`, text(axis));
  }),
);
const byIndex: Text = fc.tuple(shapeOf(1, 3), shapeOf(0, 2), oneOf('i32', 'u32', 'i32', 'f32')).chain(([table, indices, type]) =>
  fc.oneof(
    axisOf(table).map((axis) => call('gather', tensor(table), tensor(indices, type), text(axis))),
    fc.constant(call('embedding', tensor(table), tensor(indices, type))),
  ),
);
const einops: Text = fc.oneof(
  fc
    .tuple(shapeOf(4, 4), oneOf<Dim>(2, 4, 16, 'P'), oneOf<Dim>(2, 4, 16))
    .map(([[b, h, w], p, q]) =>
      call('rearrange', tensor([b!, h!, w!, 3]), text('b (h p) (w q) c -> b (h w) (p q c)'), `{ p: ${text(p)}, q: ${text(q)} }`),
    ),
  fc
    .tuple(
      shapeOf(2, 4),
      oneOf(
        'b n (h d) -> b h n d',
        'a *r -> *r a',
        'a b c -> a (c b)',
        'a *r -> (a *r)',
        'a b -> a',
        'a b -> a b b',
        'a b',
        '1 b c -> b 1 c',
        'a 3 -> a',
        '*a b *c -> b',
        'a b -> a c',
      ),
      oneOf<Dim>(2, 4, 'H', 'D'),
    )
    .map(([shape, pattern, h]) => call('rearrange', tensor(shape), text(pattern), `{ h: ${text(h)} }`)),
  fc
    .tuple(shapeOf(2, 3), oneOf('a b -> a n b', 'a *r -> (n a) *r', 'a b c -> a b c n m', 'a b -> a n'))
    .map(([shape, pattern]) => call('repeatAxes', tensor(shape), text(pattern), "{ n: 'h*w' }")),
);

/** One call of the language. */
export const anyCall: Text = fc.oneof(
  binary,
  unary,
  select,
  reduction,
  alongAxis,
  norm,
  matmul,
  linear,
  attention,
  rope,
  einsum,
  reshape,
  reshape,
  whole,
  swap,
  permute,
  part,
  part,
  split,
  join,
  byIndex,
  einops,
  einops,
);
