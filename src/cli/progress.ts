/** Progress with the time left: a bar on a terminal, now and then a line elsewhere (logs, CI). */
import { SingleBar } from 'cli-progress';
import type { Terminal } from './command.ts';

export interface Progress {
  /** `more` stands behind the time left. */
  readonly update: (done: number, all: number, more?: string) => void;
  /** Ends the bar, so that the next line stands below it. */
  readonly end: () => void;
}

const seconds = (count: number): string => {
  const whole = Math.max(0, Math.round(count));
  return whole < 60 ? `${whole} s`
    : whole < 3600 ? `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
    : `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`;
};

/** The time left as text, from the pace since the first call; `?` until there is a pace. */
export const makeClock = (now: () => number = () => performance.now()): ((done: number, all: number) => string) => {
  let first: { readonly done: number; readonly time: number } | undefined;
  return (done, all) => {
    first ??= { done, time: now() };
    const steps = done - first.done;
    return steps <= 0 ? '?' : seconds((((now() - first.time) / 1000) * (all - done)) / steps);
  };
};

/** A second Ctrl-C ends the process at once; the cursor must not stay hidden. */
const showCursor = (): void => void process.stderr.write('\x1b[?25h');

const bar = (title: string): Progress => {
  const clock = makeClock();
  let shown = false;
  const view = new SingleBar({
    format: `${title} {bar} {value}/{total} · {left} left{more}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    stopOnComplete: false,
    stream: process.stderr,
    gracefulExit: false,
  });
  return {
    update: (done, all, more) => {
      if (!shown) {
        process.once('exit', showCursor);
        view.start(all, done, { left: '?', more: '' });
      }
      shown = true;
      view.setTotal(all);
      view.update(done, { left: clock(done, all), more: more === undefined ? '' : ` · ${more}` });
    },
    end: () => {
      if (shown) view.stop();
      shown = false;
      process.off('exit', showCursor);
    },
  };
};

/** Milliseconds between two lines. */
const PAUSE = 5000;

const lines = (title: string, note: Terminal['note']): Progress => {
  const clock = makeClock();
  let last = performance.now();
  return {
    update: (done, all, more) => {
      const left = clock(done, all),
        now = performance.now();
      if (done < all && now - last < PAUSE) return;
      last = now;
      note(`${title} ${done}/${all}${done === all ? '' : ` · ${left} left`}${more === undefined ? '' : ` · ${more}`}`);
    },
    end: () => undefined,
  };
};

/** Progress of the work called `title`. Call `update(0, all)` when it begins: the time counts from there. */
export const makeProgress = (title: string, { isInteractive, note }: Terminal): Progress => (isInteractive ? bar(title) : lines(title, note));

/** Bars, one after the other: one begins when work of another name does. */
export const makeBars = (terminal: Terminal): { readonly update: (what: string, done: number, all: number) => void; readonly end: () => void } => {
  let current: { readonly what: string; readonly bar: Progress } | undefined;
  const end = (): void => current?.bar.end();
  return {
    update: (what, done, all) => {
      if (current?.what !== what) {
        end();
        current = { what, bar: makeProgress(what, terminal) };
        current.bar.update(0, all);
      }
      current.bar.update(done, all);
    },
    end,
  };
};
