/**
 * The one memory of a WebAssembly device: who has which part of it.
 *
 * Invariant: parts are multiples of 64 bytes and start at multiples of 64; free parts never touch each other, so that they can be used whole.
 */
import { fail } from '../errors.ts';
import type { DeviceError } from '../errors.ts';

const PAGE = 65536;
/** All that 32-bit addresses reach, but for the last page: an end that is 2^32 would be 0. */
const MOST_PAGES = 65535;
const ALIGNMENT = 64;

export interface Heap {
  readonly memory: WebAssembly.Memory;
  readonly isShared: boolean;
  /** The address of new bytes; throws a `fail` of the kind `OutOfMemory`. */
  readonly allocate: (label: string, bytes: number) => number;
  readonly free: (address: number) => void;
  /** Bytes in use. */
  readonly used: () => number;
}

const outOf = (label: string, bytes: number, used: number, why: string): DeviceError => ({
  _tag: 'OutOfMemory', label, bytes,
  message: `out of memory for ${label} (${Math.ceil(bytes / 2 ** 20)} MiB, beside ${Math.ceil(used / 2 ** 20)} MiB in use): ${why}. A smaller model, batch or size needs less.`,
});

/** Memory between threads where this realm may have it. */
const mayShare = (): boolean => {
  const here = globalThis as { readonly crossOriginIsolated?: boolean }; // pages only; Node has none
  return typeof SharedArrayBuffer !== 'undefined' && here.crossOriginIsolated !== false;
};

const makeMemory = (shared: boolean): WebAssembly.Memory => {
  // engines reserve addresses for the most that a memory may become: some allow less
  for (let maximum = MOST_PAGES; ; maximum = Math.floor(maximum / 2)) {
    try {
      return new WebAssembly.Memory({ initial: 1, maximum, shared });
    } catch (thrown) {
      if (maximum < 1024) throw thrown;
    }
  }
};

interface Part {
  readonly start: number;
  readonly bytes: number;
}

/** A memory with nothing in it. Address 0 is never given away. */
export const makeHeap = (wantsShared = true): Heap => {
  const isShared = wantsShared && mayShare(), memory = makeMemory(isShared);
  let parts: Part[] = [{ start: ALIGNMENT, bytes: PAGE - ALIGNMENT }];
  let end = PAGE, used = 0;
  const taken = new Map<number, number>();
  const release = (part: Part): void => {
    const before = parts.find((other) => other.start + other.bytes === part.start), after = parts.find((other) => other.start === part.start + part.bytes);
    parts = parts.filter((other) => other !== before && other !== after);
    parts.push({ start: before?.start ?? part.start, bytes: (before?.bytes ?? 0) + part.bytes + (after?.bytes ?? 0) });
  };
  const grow = (label: string, bytes: number): void => {
    const last = parts.find((part) => part.start + part.bytes === end), pages = Math.ceil((bytes - (last?.bytes ?? 0)) / PAGE);
    // in steps, so that many small tensors grow it seldom
    const wanted = [Math.max(pages, Math.min(1024, Math.floor(end / PAGE))), pages];
    for (const more of wanted) {
      try {
        if (end / PAGE + more > MOST_PAGES) continue;
        memory.grow(more);
        release({ start: end, bytes: more * PAGE });
        end += more * PAGE;
        return;
      } catch {
        // less may do
      }
    }
    throw fail(outOf(label, bytes, used, end / PAGE + pages > MOST_PAGES ? 'WebAssembly reaches 4 GiB' : 'the engine gives no more'));
  };
  const fitting = (bytes: number): Part | undefined => parts.filter((part) => part.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
  return {
    memory, isShared, used: () => used,
    allocate: (label, wanted) => {
      const bytes = Math.max(ALIGNMENT, Math.ceil(wanted / ALIGNMENT) * ALIGNMENT);
      if (fitting(bytes) === undefined) grow(label, bytes);
      const part = fitting(bytes)!; // it was made
      parts = parts.filter((other) => other !== part);
      if (part.bytes > bytes) parts.push({ start: part.start + bytes, bytes: part.bytes - bytes });
      taken.set(part.start, bytes);
      used += bytes;
      return part.start;
    },
    free: (address) => {
      const bytes = taken.get(address);
      if (bytes === undefined) return;
      taken.delete(address);
      used -= bytes;
      release({ start: address, bytes });
    },
  };
};
