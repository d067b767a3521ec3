import { describe, expect, it } from 'vitest';
import { Close, Feed, patience, silence, type Link, type Sink, type Socket } from './feed';
import type { Delta, Frame, Ping, Snapshot } from './wire';

class FakeSocket implements Socket {
  onopen: ((e: never) => void) | null = null;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  closed = false;
  constructor(readonly path: string) {}
  close() {
    this.closed = true;
  }
  get query() {
    return new URLSearchParams(this.path.split('?')[1]);
  }
  send(f: Frame) {
    this.onmessage?.({ data: JSON.stringify(f) });
  }
}

/** A world with its own time: later() is run by advance(). */
class World {
  sockets: FakeSocket[] = [];
  links: Link[] = [];
  snapshots: Snapshot[] = [];
  deltas: Delta[] = [];
  pings: Ping[] = [];
  session: 'yes' | 'no' | 'away' = 'yes';
  probes = 0;
  now = 0;
  #timers: { at: number; f: () => void }[] = [];

  feed = new Feed({
    clinic: 'c1',
    sink: {
      snapshot: (s) => void this.snapshots.push(s),
      delta: (d) => void this.deltas.push(d),
      ping: (p) => void this.pings.push(p),
      link: (l) => void this.links.push(l),
    } satisfies Sink,
    open: (path) => {
      const s = new FakeSocket(path);
      this.sockets.push(s);
      return s;
    },
    probe: async () => {
      this.probes++;
      return this.session;
    },
    random: () => 1,
    later: (ms, f) => {
      const t = { at: this.now + ms, f };
      this.#timers.push(t);
      return () => {
        this.#timers = this.#timers.filter((x) => x !== t);
      };
    },
  });

  get socket(): FakeSocket {
    const s = this.sockets.at(-1);
    if (!s) throw new Error('no socket');
    return s;
  }

  advance(ms: number) {
    const end = this.now + ms;
    for (;;) {
      const next = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.now = next.at;
      next.f();
    }
    this.now = end;
  }

  async close(code: number) {
    this.socket.onclose?.({ code });
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }

  begin(seq = 10) {
    this.feed.start();
    this.socket.send({ snapshot: snapshot(seq) });
    return this;
  }
}

const snapshot = (seq: number, epoch = 'e1'): Snapshot => ({
  epoch,
  seq,
  now: '2026-11-24T14:00:00Z',
  clinic: {
    id: 'c1',
    name: 'C',
    zone: 'America/Toronto',
    offset_minutes: -300,
    today: '2026-11-24',
    mode: 'automatic',
    practitioners: [],
    places: [],
  },
  health: { status: 'healthy', since: '2026-11-24T13:00:00Z', open: 0 },
  cards: [],
});
const now = '2026-11-24T14:00:00Z';

describe('Feed', () => {
  it('asks for everything first and for what is missing after that', async () => {
    const w = new World().begin(10);
    expect(w.sockets[0]?.query.get('seq')).toBeNull();
    w.socket.send({ deltas: [{ seq: 11 }, { seq: 12 }] });
    await w.close(1006);
    w.advance(20_000);
    expect(w.sockets).toHaveLength(2);
    expect(w.socket.query.get('epoch')).toBe('e1');
    expect(w.socket.query.get('seq')).toBe('12');
    expect(w.deltas.map((d) => d.seq)).toEqual([11, 12]);
  });

  it('drops what it has already seen', () => {
    const w = new World().begin(10);
    w.socket.send({ deltas: [{ seq: 9 }, { seq: 10 }, { seq: 11 }] });
    expect(w.deltas.map((d) => d.seq)).toEqual([11]);
    expect(w.sockets).toHaveLength(1);
  });

  it('resumes from the last good sequence at a gap, and applies nothing beyond it', () => {
    const w = new World().begin(10);
    w.socket.send({ deltas: [{ seq: 11 }, { seq: 13 }] });
    expect(w.deltas.map((d) => d.seq)).toEqual([11]);
    expect(w.sockets[0]?.closed).toBe(true);
    w.advance(0);
    expect(w.socket.query.get('seq')).toBe('11');
    w.socket.send({ deltas: [{ seq: 12 }, { seq: 13 }] });
    expect(w.deltas.map((d) => d.seq)).toEqual([11, 12, 13]);
    expect(w.links.at(-1)).toBe('live');
  });

  it('asks for a snapshot when a resume does not help', () => {
    const w = new World().begin(10);
    w.socket.send({ deltas: [{ seq: 12 }] });
    w.advance(0);
    w.socket.send({ deltas: [{ seq: 12 }] });
    w.advance(20_000);
    expect(w.socket.query.get('seq')).toBeNull();
    w.socket.send({ snapshot: snapshot(12) });
    expect(w.feed.seq).toBe(12);
  });

  it('notices by a ping that the last delta was lost', () => {
    const w = new World().begin(10);
    w.socket.send({ ping: { seq: 11, now } });
    w.advance(patience - 1);
    expect(w.sockets).toHaveLength(1);
    w.advance(1);
    expect(w.sockets).toHaveLength(2);
    expect(w.socket.query.get('seq')).toBe('10');
  });

  it('lets a ping overtake its delta', () => {
    const w = new World().begin(10);
    w.socket.send({ ping: { seq: 11, now } });
    w.socket.send({ deltas: [{ seq: 11 }] });
    w.advance(patience * 2);
    expect(w.sockets).toHaveLength(1);
  });

  it('takes a new epoch whatever its sequence', () => {
    const w = new World().begin(10);
    w.socket.send({ snapshot: snapshot(2, 'e2') });
    w.socket.send({ deltas: [{ seq: 3 }] });
    expect(w.feed.seq).toBe(3);
    expect(w.deltas).toHaveLength(1);
  });

  it('connects again at once when it was too slow', async () => {
    const w = new World().begin(10);
    await w.close(Close.slow);
    w.advance(0);
    expect(w.sockets).toHaveLength(2);
    expect(w.probes).toBe(0);
  });

  it('waits longer and longer while the server is away', async () => {
    const w = new World();
    w.session = 'away';
    w.feed.start();
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      await w.close(1006);
      const before = w.now;
      const count = w.sockets.length;
      while (w.sockets.length === count) w.advance(100);
      waits.push(w.now - before);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  });

  it('stops at sign-in when the session is gone', async () => {
    const w = new World().begin(10);
    w.session = 'no';
    await w.close(1006);
    w.advance(60_000);
    expect(w.links.at(-1)).toBe('out');
    expect(w.sockets).toHaveLength(1);
  });

  it.each([
    [Close.signIn, 'out'],
    [Close.unknown, 'unknown'],
  ] as const)('ends for good at %i', async (code, link) => {
    const w = new World().begin(10);
    await w.close(code);
    w.advance(60_000);
    expect(w.links.at(-1)).toBe(link);
    expect(w.sockets).toHaveLength(1);
  });

  it('takes a silent connection for dead', () => {
    const w = new World().begin(10);
    w.advance(silence);
    expect(w.links.at(-1)).toBe('lost');
    w.advance(15_000);
    expect(w.sockets).toHaveLength(2);
  });

  it('is live as soon as a resume is accepted', async () => {
    const w = new World().begin(10);
    await w.close(1006);
    w.advance(20_000);
    expect(w.links.at(-1)).toBe('lost');
    w.socket.onopen?.({} as never);
    expect(w.links.at(-1)).toBe('live');
  });

  it('tries at once when nudged, and not while connected', async () => {
    const w = new World().begin(10);
    w.feed.nudge();
    expect(w.sockets).toHaveLength(1);
    await w.close(1006);
    w.feed.nudge();
    expect(w.sockets).toHaveLength(2);
    w.advance(60_000 - silence);
    expect(w.sockets).toHaveLength(2);
  });

  it('does nothing after stop', async () => {
    const w = new World().begin(10);
    w.feed.stop();
    w.sockets[0]?.send({ deltas: [{ seq: 11 }] });
    w.advance(120_000);
    expect(w.deltas).toEqual([]);
    expect(w.sockets).toHaveLength(1);
  });

  it('survives a frame it cannot read', () => {
    const w = new World().begin(10);
    w.socket.onmessage?.({ data: '{' });
    w.advance(0);
    expect(w.sockets).toHaveLength(2);
    expect(w.socket.query.get('seq')).toBe('10');
  });
});
