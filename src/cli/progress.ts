/** Progress with the time left: a bar on a terminal, now and then a line elsewhere (logs, CI). */
import { SingleBar } from 'cli-progress';
import type { Terminal } from './command.ts';

export interface Progress {
  readonly update: (done: number, all: number) => void;
  /** Ends the bar, so that the next line stands below it. */
  readonly end: () => void;
}

const seconds = (count: number): string => {
  const whole = Math.max(0, Math.round(count));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
};

/** Seconds that remain if it goes on as it went since `started` (in milliseconds). */
export const timeLeft = (done: number, all: number, started: number, now: number): number => (((now - started) / 1000) * (all - done)) / Math.max(1, done);

const bar = (title: string): Progress => {
  let started = performance.now(), shown = false;
  const view = new SingleBar({
    format: `${title} {bar} {value}/{total} · {left} left`, barCompleteChar: '█', barIncompleteChar: '░', hideCursor: true, stopOnComplete: false,
    stream: process.stderr, etaBuffer: 1, gracefulExit: false,
  });
  return {
    update: (done, all) => {
      if (!shown) { started = performance.now(); view.start(all, done, { left: '?' }); shown = true; }
      view.setTotal(all);
      view.update(done, { left: done === 0 ? '?' : seconds(timeLeft(done, all, started, performance.now())) });
    },
    end: () => { if (shown) view.stop(); shown = false; },
  };
};

/** Milliseconds between two lines. */
const PAUSE = 5000;

const lines = (title: string, note: Terminal['note']): Progress => {
  let started: number | undefined, last = -Infinity;
  return {
    update: (done, all) => {
      const now = performance.now();
      started ??= now;
      if (done < all && now - last < PAUSE) return;
      last = now;
      note(`${title} ${done}/${all}${done === 0 || done === all ? '' : ` · ${seconds(timeLeft(done, all, started, now))} left`}`);
    },
    end: () => undefined,
  };
};

/** Progress of the work called `title`. Call `update(0, all)` when it begins: the time counts from there. */
export const makeProgress = (title: string, { isInteractive, note }: Terminal): Progress => (isInteractive ? bar(title) : lines(title, note));
