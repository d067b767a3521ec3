// The calendar of one clinic as the page knows it. Each card is a cell of its own, so a change
// repaints one rectangle; a column hears only of cards that come, go or move.
import { untrack } from 'svelte';
import { clock } from './clock.svelte';
import type { Link, Sink } from './feed';
import { lanes, type Lane } from './lanes';
import { minutes } from './time';
import type { Card, ClinicInfo, Delta, Health, Ping, Snapshot, State } from './wire';

/** One card. Assigning card repaints what shows it. */
export class Cell {
  card: Card = $state.raw() as Card;
  constructor(card: Card) {
    this.card = card;
  }
}

export interface Placed extends Lane {
  id: string;
  cell: Cell;
  from: number;
  until: number;
}

/** The cards of one practitioner on one day. */
export class Column {
  placed: Placed[] = $state.raw([]);
  readonly cells = new Map<string, Cell>();

  /** Lays the cards out again, in the order of time. */
  arrange() {
    const cells = [...this.cells.values()].sort(byTime);
    const spans = cells.map((c) => ({ from: minutes(c.card.from), until: end(c.card) }));
    const l = lanes(spans);
    this.placed = cells.map((cell, i) => ({ id: cell.card.id, cell, ...spans[i]!, ...l[i]! }));
  }
}

const end = (c: Card) => {
  const from = minutes(c.from);
  const until = minutes(c.until);
  return until > from ? until : 1440; // ends at or past midnight
};

const byTime = (a: Cell, b: Cell) =>
  a.card.start < b.card.start ? -1 : a.card.start > b.card.start ? 1 : a.card.id < b.card.id ? -1 : 1;

export type Counts = Partial<Record<State, number>>;

/** The counts of one day, a cell of their own. */
class Tally {
  counts: Counts = $state.raw({});
}

/** The states a person may have to look at, in the order of the queue. */
export const queueOrder: readonly State[] = [
  'suspended',
  'approval',
  'offered',
  'freed',
  'claimed',
  'expired',
  'confirmed',
];
const queued = new Set<State>(queueOrder);

/** A change worth saying aloud. */
export interface News {
  card?: Card;
  was?: State | undefined;
  health?: Health;
}

export class Calendar implements Sink {
  #link: Link = $state('connecting');
  clinic: ClinicInfo | undefined = $state.raw();
  health: Health | undefined = $state.raw();
  /** Server time of the last word heard, for the age of what is shown. */
  heard = $state(0);
  /** Rises when cards come, go or move, so that lists of columns are made again. */
  shape = $state(0);
  /** Rises when the queue's content or order may have changed. */
  queueVersion = $state(0);
  seq = 0;
  onNews: (n: News) => void = () => {};
  /** Brings what the feed still holds back. */
  flush: () => void = () => {};

  readonly #cells = new Map<string, Cell>();
  readonly #columns = new Map<string, Column>();
  readonly #queue = new Set<Cell>();
  readonly #days = new Map<string, Tally>();

  // ---- what the feed brings

  snapshot(s: Snapshot) {
    clock.correct(s.now);
    this.seq = s.seq;
    this.clinic = s.clinic;
    this.health = s.health;
    const keep = new Set<string>();
    const touched = new Set<Column>();
    for (const c of s.cards ?? []) {
      keep.add(c.id);
      this.#put(c, touched);
    }
    for (const id of [...this.#cells.keys()]) if (!keep.has(id)) this.#remove(id, touched);
    this.#settle(touched);
  }

  delta(d: Delta) {
    this.seq = d.seq;
    const touched = new Set<Column>();
    for (const c of d.cards ?? []) {
      const was = this.#cells.get(c.id)?.card.state;
      this.#put(c, touched);
      if (was !== c.state) this.onNews({ card: c, was });
    }
    for (const id of d.remove ?? []) this.#remove(id, touched);
    if (d.clinic) this.clinic = d.clinic;
    if (d.mode && this.clinic) this.clinic = { ...this.clinic, mode: d.mode };
    if (d.health) {
      const was = this.health?.status;
      this.health = d.health;
      if (was !== d.health.status) this.onNews({ health: d.health });
    }
    this.#settle(touched);
  }

  ping(p: Ping) {
    clock.correct(p.now);
    this.heard = clock.now;
  }

  /** While lost, what is shown stays; heard says how old it is. */
  link(l: Link) {
    if (l === 'live' || this.#link === 'live') this.heard = clock.now;
    if (l !== this.#link) this.#link = l;
  }

  // ---- what the page asks

  get state() {
    return this.#link;
  }

  get live() {
    return this.#link === 'live';
  }

  cell(id: string): Cell | undefined {
    void this.shape;
    return this.#cells.get(id);
  }

  get size() {
    return this.#cells.size;
  }

  /** The column of a practitioner on a day; it stays the same object for the life of the page. */
  column(practitioner: string, day: string): Column {
    const key = `${day} ${practitioner}`;
    let c = this.#columns.get(key);
    if (!c) this.#columns.set(key, (c = new Column()));
    return c;
  }

  /** Cards by state on these days. */
  counts(days: readonly string[]): Counts {
    const sum: Counts = {};
    for (const d of days) {
      for (const [s, n] of Object.entries(this.#day(d).counts)) sum[s as State] = (sum[s as State] ?? 0) + n;
    }
    return sum;
  }

  /** Practitioners who have cards but are not in the clinic's list keep a column too. */
  get practitioners(): { id: string; name: string; specialty: string }[] {
    void this.shape;
    const known = this.clinic?.practitioners ?? [];
    const ids = new Set(known.map((p) => p.id));
    const more = new Set<string>();
    for (const c of this.#cards()) if (!ids.has(c.practitioner)) more.add(c.practitioner);
    return [...known, ...[...more].sort().map((id) => ({ id, name: id, specialty: '' }))];
  }

  /** The first and last minute of the grid for these days, on whole hours. */
  hours(days: readonly string[]): { from: number; until: number } {
    void this.shape;
    let from = 8 * 60;
    let until = 17 * 60;
    const on = new Set(days);
    for (const c of this.#cards()) {
      if (!on.has(c.day)) continue;
      from = Math.min(from, minutes(c.from));
      until = Math.max(until, end(c));
    }
    return { from: Math.floor(from / 60) * 60, until: Math.ceil(until / 60) * 60 };
  }

  /** The days that have cards, in order. */
  days(): string[] {
    void this.shape;
    return [...new Set(this.#cards().map((c) => c.day))].sort();
  }

  /** Cells that only a person can settle, by time. */
  todo(): Cell[] {
    void this.queueVersion;
    return untrack(() => [...this.#queue].filter((c) => c.card.todo !== undefined).sort(byTime));
  }

  /** Cells of one state that are in the queue, the most urgent first. */
  queue(state: State): Cell[] {
    void this.queueVersion;
    const key = (c: Card) => (state === 'offered' ? (c.deadline ?? c.start) : c.start);
    return untrack(() =>
      [...this.#queue]
        .filter((c) => c.card.state === state && c.card.todo === undefined)
        .sort((a, b) => (key(a.card) < key(b.card) ? -1 : key(a.card) > key(b.card) ? 1 : byTime(a, b))),
    );
  }

  /** Every cell that matches, in order of time; for lists and search. */
  all(match: (c: Card) => boolean): Cell[] {
    void this.shape;
    void this.queueVersion;
    return [...this.#cells.values()].filter((c) => match(c.card)).sort(byTime);
  }

  /** Takes the card that a command answered with, unless the feed brought a newer one already. */
  take(card: Card) {
    this.flush();
    const old = this.#cells.get(card.id)?.card;
    if (old && old.revision >= card.revision) return;
    const touched = new Set<Column>();
    this.#put(card, touched);
    this.#settle(touched);
  }

  // ---- inside

  /**
   * The cards as they are, without subscribing to each of them: shape and queueVersion say when
   * what is made of them changes.
   */
  #cards(): Card[] {
    return untrack(() => [...this.#cells.values()].map((c) => c.card));
  }

  #day(d: string) {
    let x = this.#days.get(d);
    if (!x) this.#days.set(d, (x = new Tally()));
    return x;
  }

  #count(c: Card, n: number) {
    const day = this.#day(c.day);
    day.counts = { ...day.counts, [c.state]: (day.counts[c.state] ?? 0) + n };
  }

  #put(c: Card, touched: Set<Column>) {
    const cell = this.#cells.get(c.id);
    if (!cell) {
      const fresh = new Cell(c);
      this.#cells.set(c.id, fresh);
      const col = this.column(c.practitioner, c.day);
      col.cells.set(c.id, fresh);
      touched.add(col);
      this.#count(c, 1);
      this.#enqueue(fresh);
      return;
    }
    const old = cell.card;
    if (old.revision === c.revision && old.state === c.state && same(old, c)) return;
    const moved =
      old.practitioner !== c.practitioner || old.day !== c.day || old.from !== c.from || old.until !== c.until;
    if (moved) {
      const from = this.column(old.practitioner, old.day);
      from.cells.delete(c.id);
      touched.add(from);
    }
    if (old.state !== c.state || old.day !== c.day) {
      this.#count(old, -1);
      this.#count(c, 1);
    }
    cell.card = c;
    if (moved) {
      const to = this.column(c.practitioner, c.day);
      to.cells.set(c.id, cell);
      touched.add(to);
    }
    if (old.state !== c.state || old.deadline !== c.deadline || old.todo !== c.todo || moved) this.#enqueue(cell);
  }

  #remove(id: string, touched: Set<Column>) {
    const cell = this.#cells.get(id);
    if (!cell) return;
    this.#cells.delete(id);
    const col = this.column(cell.card.practitioner, cell.card.day);
    col.cells.delete(id);
    touched.add(col);
    this.#count(cell.card, -1);
    if (this.#queue.delete(cell)) this.queueVersion++;
  }

  #enqueue(cell: Cell) {
    const had = this.#queue.has(cell);
    const wants = queued.has(cell.card.state) || cell.card.todo !== undefined;
    if (wants) this.#queue.add(cell);
    else this.#queue.delete(cell);
    if (had || wants) this.queueVersion++;
  }

  #settle(touched: Set<Column>) {
    this.heard = clock.now;
    if (touched.size === 0) return;
    for (const c of touched) c.arrange();
    this.shape++;
  }
}

function same(a: Card, b: Card): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
