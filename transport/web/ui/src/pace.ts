// Brings deltas to the calendar no more often than the eye needs. A few are shown at once, as the moments of
// one claim are; when they keep coming they are shown together, so that a calendar that changes twenty times
// a second is painted four times.
import type { Link, Sink } from './feed';
import type { Delta, Ping, Snapshot } from './wire';

/** Milliseconds between two paints while changes keep coming. */
export const beat = 250;
/** How many may be shown at once after a quiet moment. */
export const credit = 4;

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
  #left = credit;
  #at = 0; // when #left was right
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
    this.#sink.snapshot(s);
  }

  delta(d: Delta) {
    this.#waiting.push(d);
    const now = this.#now();
    const earned = Math.floor((now - this.#at) / beat);
    if (this.#left + earned >= credit) [this.#left, this.#at] = [credit, now];
    else if (earned > 0) [this.#left, this.#at] = [this.#left + earned, this.#at + earned * beat];
    if (this.#left > 0) this.flush();
    else this.#stop ??= this.#later(this.#at + beat - now, () => this.#due());
  }

  ping(p: Ping) {
    this.#sink.ping(p);
  }

  link(l: Link) {
    // The feed says "live" after each message. Of any other word the calendar is as old as what was heard.
    if (l !== 'live') this.flush();
    this.#sink.link(l);
  }

  #due() {
    this.#stop = undefined;
    this.#at += beat;
    this.#left++;
    this.flush();
  }

  /** Brings what waits, now. */
  flush() {
    const all = this.#waiting;
    this.#forget();
    if (all.length === 0) return;
    this.#left = Math.max(0, this.#left - 1);
    for (const d of all) this.#sink.delta(d);
  }

  #forget() {
    this.#stop?.();
    this.#stop = undefined;
    this.#waiting = [];
  }
}
