/**
 * The Mersenne twister MT19937 (Matsumoto and Nishimura, 1998), which is the engine of torch's CPU generator.
 *
 * Invariant: after n calls of `next` the stream stands where `skip(n)` would have put it.
 */
const SIZE = 624;
const MIDDLE = 397;

export interface Mt19937 {
  /** The next 32 random bits, as an integer in [0, 2^32). */
  readonly next: () => number;
  /** Passes over `count` outputs without tempering them. */
  readonly skip: (count: number) => void;
}

const seeded = (seed: number): Uint32Array => {
  const state = new Uint32Array(SIZE);
  state[0] = seed;
  for (let i = 1; i < SIZE; i++) {
    const before = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(before, 1812433253) + i;
  }
  return state;
};

const mixed = (high: number, low: number): number => {
  const bits = (high & 0x80000000) | (low & 0x7fffffff);
  return (bits >>> 1) ^ (low & 1 ? 0x9908b0df : 0);
};

const twist = (state: Uint32Array): void => {
  for (let i = 0; i < SIZE - MIDDLE; i++) state[i] = state[i + MIDDLE]! ^ mixed(state[i]!, state[i + 1]!);
  for (let i = SIZE - MIDDLE; i < SIZE - 1; i++) state[i] = state[i + MIDDLE - SIZE]! ^ mixed(state[i]!, state[i + 1]!);
  state[SIZE - 1] = state[MIDDLE - 1]! ^ mixed(state[SIZE - 1]!, state[0]!);
};

const tempered = (word: number): number => {
  const a = word ^ (word >>> 11);
  const b = a ^ ((a << 7) & 0x9d2c5680);
  const c = b ^ ((b << 15) & 0xefc60000);
  return (c ^ (c >>> 18)) >>> 0;
};

/** A stream seeded with the low 32 bits of `seed`. */
export const mt19937 = (seed: number): Mt19937 => {
  const state = seeded(seed);
  let used = SIZE;
  return {
    next: () => {
      if (used === SIZE) { twist(state); used = 0; }
      return tempered(state[used++]!);
    },
    skip: (count) => {
      let left = count;
      while (left > SIZE - used) {
        left -= SIZE - used;
        twist(state);
        used = 0;
      }
      used += left;
    },
  };
};
