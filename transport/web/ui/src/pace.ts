// Brings deltas to the calendar no more often than the eye needs: the first at once, those that follow
// quickly together. A page whose calendar changes twenty times a second then paints four times.
import type { Link, Sink } from './feed';
import type { Delta, Ping, Snapshot } from './wire';

/** Milliseconds between two paints while changes keep coming. */
export const beat = 250;

interface Options {
  now?: () => number;
  /** Runs f later and returns how to stop that. */
  later?: (ms: number, f: () => void) => () => void;
}

export class Pace implements Sink {
  readonly #sink: Sink;
  readonly #now: () => number;
  readonly #later: (ms: number, f: () => void) => () => void;
  #waiting: Delta[] = [];
  #last = -Infinity;
  #stop: (() => void) | undefined;

  constructor(sink: Sink, o: Options = {}) {
    this.#sink = sink;
    this.#now = o.now ?? (() => performance.now());
    this.#later =
      o.later ??
      ((ms, f) => {
        const t = setTimeout(f, ms);
        return () => clearTimeout(t);
      });
  }

  snapshot(s: Snapshot) {
    this.#forget();
    this.#last = this.#now();
    this.#sink.snapshot(s);
  }

  delta(d: Delta) {
    this.#waiting.push(d);
    const left = this.#last + beat - this.#now();
    if (left <= 0) this.flush();
    else this.#stop ??= this.#later(left, () => this.flush());
  }

  ping(p: Ping) {
    this.#sink.ping(p);
  }

  link(l: Link) {
    // The feed says "live" after each message. Of any other word the calendar is as old as what was heard.
    if (l !== 'live') this.flush();
    this.#sink.link(l);
  }

  /** Brings what waits, now. */
  flush() {
    const all = this.#waiting;
    this.#forget();
    if (all.length === 0) return;
    this.#last = this.#now();
    for (const d of all) this.#sink.delta(d);
  }

  #forget() {
    this.#stop?.();
    this.#stop = undefined;
    this.#waiting = [];
  }
}
