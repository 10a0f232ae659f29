import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { configMistakes, labelMistakes, nullClass, PRESETS, sizesOf, type C2iConfig } from './config.ts';

const small: C2iConfig = {
  in_channels: 3,
  patch_size: 4,
  num_groups: 2,
  hidden_size: 48,
  hidden_size_x: 8,
  num_blocks: 3,
  num_cond_blocks: 2,
  nerf_mlpratio: 2,
  num_classes: 6,
};

describe('sizes', () => {
  test('the symbols of a model', () => {
    expect(sizesOf(small, { batch: 2, height: 8, width: 12 })).toEqual(
      E.right({
        B: 2,
        h: 2,
        w: 3,
        C: 3,
        P: 4,
        Q: 4,
        D: 48,
        H: 2,
        K: 6,
        F: 128,
        X: 8,
        R: 2,
        V: 7,
        S: 128,
        M: 8,
      }),
    );
  });
  test('the official presets', () => {
    expect(sizesOf(PRESETS['c2i-L'], { batch: 1, height: 256, width: 256 })).toMatchObject({
      right: { h: 16, w: 16, H: 16, K: 16, F: 2730, V: 1001 },
    });
    expect(sizesOf(PRESETS['c2i-XL'], { batch: 1, height: 256, width: 512 })).toMatchObject({ right: { h: 16, w: 32, K: 18, F: 3072 } });
  });
  test('everything that is wrong is said at once', () => {
    expect(sizesOf({ ...small, hidden_size: 44 }, { batch: 0, height: 8, width: 8 })).toEqual(
      E.left([
        'head_dim is 22, but the rotary embedding needs a multiple of 4: change hidden_size 44 or num_groups 2',
        'batch is 0: use a whole number of at least 1',
      ]),
    );
    expect(sizesOf(small, { batch: 1, height: 30, width: -4 })).toEqual(
      E.left(['height 30 is not divisible by the patch size 4: try 32', 'width is -4: use a whole number of at least 1']),
    );
  });
});

test('wrong configurations', () => {
  expect(configMistakes({ ...small, num_groups: 5 })).toEqual(['hidden_size 48 is not divisible by num_groups 5: change one of them']);
  expect(configMistakes({ ...small, num_cond_blocks: 4 })).toEqual(['num_cond_blocks is 4, but there are only 3 blocks']);
  expect(configMistakes({ ...small, patch_size: 2.5, num_classes: 0 })).toHaveLength(2);
});

test('labels', () => {
  expect(labelMistakes(small, [0, 5])).toEqual([]);
  expect(labelMistakes(small, [6, -1, 6, 1.5])).toEqual([
    'class 6 is out of range: this model has classes 0 to 5',
    'class -1 is out of range: this model has classes 0 to 5',
    'class 1.5 is out of range: this model has classes 0 to 5',
  ]);
  expect(nullClass(small)).toBe(6);
});
