// The sandbox's state, kept current by its server-sent events. Each phone is a cell of its own.
import { ApiError, sandboxCall } from '../api';
import type { Carrier, DmeRecord, SandboxState, Thread } from './wire';

export class Phone {
  thread: Thread = $state.raw() as Thread;
  constructor(t: Thread) {
    this.thread = t;
  }
}

export class Sandbox {
  phones: Phone[] = $state.raw([]);
  records: Record<string, DmeRecord> = $state.raw({});
  carrier: Carrier = $state.raw({ down: false, fail_share: 0, delay_milli: 0 });
  trickle = $state(false);
  lost = $state(false);
  loaded = $state(false);
  error = $state('');
  /** While somebody points at the wall its order stays, so that nothing moves under the hand. */
  held = false;

  readonly #byID = new Map<string, Phone>();
  #events: EventSource | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  start() {
    this.#connect();
    return () => {
      clearTimeout(this.#timer);
      this.#events?.close();
    };
  }

  #connect() {
    const e = new EventSource('/sandbox/api/events');
    this.#events = e;
    // Reading after the stream opened leaves no gap between the two.
    e.onopen = () => void this.load();
    e.onerror = () => {
      this.lost = true;
      if (e.readyState !== EventSource.CLOSED) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#connect(), 2000);
    };
    e.addEventListener('thread', (m) => this.#thread(JSON.parse(m.data as string) as Thread));
    e.addEventListener('dme', (m) => this.#record(JSON.parse(m.data as string) as DmeRecord));
  }

  async load() {
    try {
      const s = await sandboxCall<SandboxState>('GET', 'state');
      this.carrier = s.carrier;
      this.trickle = s.trickle;
      for (const r of s.records ?? []) this.#record(r);
      for (const t of s.threads ?? []) this.#thread(t);
      this.sort();
      this.lost = false;
      this.loaded = true;
    } catch {
      this.lost = true;
    }
  }

  /** The most recent phone first. */
  sort() {
    if (this.held) return;
    this.phones = [...this.#byID.values()].sort((a, b) => (a.thread.last < b.thread.last ? 1 : -1));
  }

  #thread(t: Thread) {
    const p = this.#byID.get(t.id);
    if (p) {
      const later = t.last > p.thread.last;
      p.thread = t;
      if (later) this.sort();
      return;
    }
    if (!t.items?.length) return; // a phone that never rang is not on the wall
    const fresh = new Phone(t);
    this.#byID.set(t.id, fresh);
    if (this.held) this.phones = [fresh, ...this.phones];
    else this.sort();
  }

  #record(r: DmeRecord) {
    this.records = { ...this.records, [r.clinic]: r };
  }

  /** Does something in the outside world; false, with a sentence in error, when it is refused. */
  async do(path: string, body?: unknown): Promise<boolean> {
    this.error = '';
    try {
      await sandboxCall<unknown>('POST', path, body ?? {});
      return true;
    } catch (e) {
      this.error = e instanceof ApiError ? e.detail || String(e.status) : String(e);
      return false;
    }
  }

  /** What a mail program's own button to unsubscribe does (RFC 8058). */
  async leave(url: string) {
    this.error = '';
    try {
      const res = await fetch(url, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }), credentials: 'omit' });
      if (!res.ok) this.error = String(res.status);
      return res.ok;
    } catch (e) {
      this.error = String(e);
      return false;
    }
  }

  async setCarrier(c: Carrier) {
    const old = this.carrier;
    this.carrier = c;
    if (!(await this.do('carrier', c))) this.carrier = old;
  }

  async setTrickle(on: boolean) {
    this.trickle = on;
    if (!(await this.do('trickle', { on }))) this.trickle = !on;
  }
}
