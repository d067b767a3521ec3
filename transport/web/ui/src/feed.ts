// The live feed: one WebSocket that brings a snapshot and then every change, numbered without
// gaps. This file knows the protocol and when to connect again; what frames mean is the sink's.
import type { Delta, Frame, Ping, Snapshot } from './wire';

/**
 * connecting: the first attempt. live: frames arrive. lost: trying again.
 * out: nobody is signed in. unknown: there is no such clinic for this account.
 */
export type Link = 'connecting' | 'live' | 'lost' | 'out' | 'unknown';

export const Close = { slow: 4001, restart: 4002, signIn: 4003, unknown: 4004 } as const;

/** What takes the frames, in order. */
export interface Sink {
  snapshot(s: Snapshot): void;
  delta(d: Delta): void;
  ping(p: Ping): void;
  link(l: Link): void;
}

/** The part of WebSocket that is used. */
export interface Socket {
  onopen: ((e: never) => void) | null;
  onmessage: ((e: { data: unknown }) => void) | null;
  onclose: ((e: { code: number }) => void) | null;
  close(code?: number): void;
}

export interface Options {
  clinic: string;
  sink: Sink;
  open: (path: string) => Socket;
  /** Says whether a session exists: 'yes', 'no', or 'away' when the server does not answer. */
  probe: () => Promise<'yes' | 'no' | 'away'>;
  random?: () => number;
  /** Runs f later and returns how to stop that. Times are milliseconds. */
  later?: (ms: number, f: () => void) => () => void;
}

const firstWait = 500;
const longestWait = 15_000;
/** A live server pings well within this; silence beyond it is a dead connection. */
export const silence = 45_000;
/** A ping may overtake a delta that is still being written to this socket; give it that long. */
export const patience = 2_000;

const timeout = (ms: number, f: () => void) => {
  const t = setTimeout(f, ms);
  return () => clearTimeout(t);
};

export class Feed {
  #o: Required<Options>;
  #socket: Socket | undefined;
  #epoch = '';
  #seq = 0;
  #known = false;
  #attempt = 0;
  #stuck = 0;
  #stopped = false;
  #stopRetry = () => {};
  #stopSilence = () => {};
  #stopPatience: (() => void) | undefined;

  constructor(o: Options) {
    this.#o = { random: Math.random, later: timeout, ...o };
  }

  get seq() {
    return this.#seq;
  }

  start() {
    this.#stopped = false;
    this.#o.sink.link('connecting');
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    this.#drop();
    this.#stopRetry();
  }

  /** Tries at once, when waiting: the network came back or somebody looks at the page again. */
  nudge() {
    if (this.#stopped || this.#socket) return;
    this.#stopRetry();
    this.#connect();
  }

  #connect() {
    const q = new URLSearchParams({ clinic: this.#o.clinic });
    if (this.#known) {
      q.set('epoch', this.#epoch);
      q.set('seq', String(this.#seq));
    }
    const s = this.#o.open(`/ws/calendar?${q}`);
    this.#socket = s;
    // A resume with nothing missed sends no frame: the open socket itself says that we are current.
    s.onopen = () => {
      if (s === this.#socket && this.#known) this.#o.sink.link('live');
    };
    s.onmessage = (e) => {
      if (s === this.#socket) this.#take(e.data);
    };
    s.onclose = (e) => {
      if (s === this.#socket) void this.#closed(e.code);
    };
    this.#listen();
  }

  #take(data: unknown) {
    let f: Frame;
    try {
      f = JSON.parse(String(data)) as Frame;
    } catch {
      this.#resync();
      return;
    }
    this.#listen();
    if (f.snapshot) {
      this.#epoch = f.snapshot.epoch;
      this.#seq = f.snapshot.seq;
      this.#known = true;
      this.#stuck = 0;
      this.#o.sink.snapshot(f.snapshot);
      this.#live();
    } else if (f.deltas) {
      for (const d of f.deltas) {
        if (d.seq <= this.#seq) continue; // seen already, before a reconnect
        if (d.seq !== this.#seq + 1 || !this.#known) {
          this.#resync();
          return;
        }
        this.#seq = d.seq;
        this.#stuck = 0;
        this.#o.sink.delta(d);
      }
      this.#live();
    } else if (f.ping) {
      this.#o.sink.ping(f.ping);
      if (f.ping.seq > this.#seq) this.#behind(f.ping.seq);
      else if (this.#known) this.#live();
    }
  }

  #live() {
    this.#attempt = 0;
    this.#o.sink.link('live');
  }

  /** The server is ahead: unless the missing deltas arrive in a moment, they were lost. */
  #behind(seq: number) {
    if (this.#stopPatience) return;
    this.#stopPatience = this.#o.later(patience, () => {
      this.#stopPatience = undefined;
      if (this.#seq < seq) this.#resync();
    });
  }

  /** Connects again from the last sequence; a second time at the same place, from nothing. */
  #resync() {
    this.#stuck++;
    if (this.#stuck > 1) this.#known = false;
    this.#drop();
    this.#o.sink.link('lost');
    this.#retry(this.#stuck > 1 ? this.#backoff() : 0);
  }

  async #closed(code: number) {
    this.#drop();
    if (this.#stopped) return;
    switch (code) {
      case Close.signIn:
        this.#end('out');
        return;
      case Close.unknown:
        this.#end('unknown');
        return;
      case Close.slow:
        this.#o.sink.link('lost');
        this.#retry(this.#attempt++ === 0 ? 0 : this.#backoff());
        return;
      case Close.restart:
        this.#o.sink.link('lost');
        this.#retry(this.#backoff());
        return;
    }
    this.#o.sink.link('lost');
    // A browser does not show that the upgrade was answered with 401: ask over HTTP.
    const session = await this.#o.probe();
    if (this.#stopped || this.#socket) return;
    if (session === 'no') this.#end('out');
    else this.#retry(this.#backoff());
  }

  #end(l: 'out' | 'unknown') {
    this.#stopped = true;
    this.#o.sink.link(l);
  }

  #backoff() {
    const top = Math.min(longestWait, firstWait * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 10);
    return Math.round(top * (0.2 + 0.8 * this.#o.random()));
  }

  #retry(ms: number) {
    this.#stopRetry();
    this.#stopRetry = this.#o.later(ms, () => {
      if (!this.#stopped && !this.#socket) this.#connect();
    });
  }

  #listen() {
    this.#stopSilence();
    this.#stopSilence = this.#o.later(silence, () => {
      this.#drop();
      this.#o.sink.link('lost');
      this.#retry(this.#backoff());
    });
  }

  #drop() {
    this.#stopSilence();
    this.#stopPatience?.();
    this.#stopPatience = undefined;
    const s = this.#socket;
    this.#socket = undefined;
    if (!s) return;
    s.onopen = s.onmessage = s.onclose = null;
    s.close();
  }
}
