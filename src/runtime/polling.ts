/**
 * Tames Dawn's polling in Node: while a promise of the GPU is pending, Dawn calls `setImmediate` again and again, which
 * takes a whole core from a software driver (measured on 2 cores: 30 % of the time of a matmul).
 *
 * Invariant: `setImmediate` is replaced only while a wait is older than `patience`, and by one that still calls its function,
 * a millisecond later; short waits (small readbacks) keep their speed.
 */

const patience = 3;
const pause = 1;

const original = { setImmediate: globalThis.setImmediate, clearImmediate: globalThis.clearImmediate };

const slowImmediate = (callback: (...args: unknown[]) => void, ...args: unknown[]): NodeJS.Timeout => setTimeout(callback, pause, ...args);

/** Clears handles of both kinds: code that is not ours may have got a timer. */
const clearEither = (handle: NodeJS.Immediate | NodeJS.Timeout | undefined): void => {
  original.clearImmediate(handle as NodeJS.Immediate); // Node ignores handles of the other kind
  clearTimeout(handle as NodeJS.Timeout);
};

let waits = 0;
let timer: NodeJS.Timeout | undefined;

const slowDown = (): void => {
  // The replacement has no `__promisify__` and gives a timer, which every user of the global accepts.
  globalThis.setImmediate = slowImmediate as unknown as typeof setImmediate;
  globalThis.clearImmediate = clearEither;
};

const speedUp = (): void => {
  clearTimeout(timer);
  timer = undefined;
  Object.assign(globalThis, original);
};

/** Begins a wait; gives the function that ends it. Fits `DeviceOptions.onWait`. */
export const calmPolling = (): (() => void) => {
  if (waits++ === 0) timer = setTimeout(slowDown, patience);
  return () => {
    if (--waits === 0) speedUp();
  };
};
