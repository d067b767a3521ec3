import { flushSync } from 'svelte';
import { describe, expect, it } from 'vitest';
import { Calendar, type News } from './calendar.svelte';
import type { Card, Snapshot } from './wire';

const card = (id: string, more: Partial<Card> = {}): Card => ({
  id,
  state: 'reserved',
  revision: 1,
  day: '2026-11-24',
  from: '09:00',
  until: '09:20',
  start: '2026-11-24T14:00:00Z',
  end: '2026-11-24T14:20:00Z',
  practitioner: 'p1',
  ...more,
});

const snapshot = (cards: Card[], seq = 1): Snapshot => ({
  epoch: 'e',
  seq,
  now: '2026-11-24T13:00:00Z',
  clinic: {
    id: 'c',
    name: 'C',
    zone: 'America/Toronto',
    offset_minutes: -300,
    today: '2026-11-24',
    mode: 'automatic',
    practitioners: [{ id: 'p1', name: 'Dre Roy', specialty: 'derm' }],
    places: [],
  },
  health: { status: 'healthy', since: '2026-11-24T12:00:00Z', open: 0 },
  cards,
});

const ids = (c: Calendar, who = 'p1', day = '2026-11-24') => c.column(who, day).placed.map((p) => p.cell.card.id);

describe('Calendar', () => {
  it('repaints one card and not its column when a state changes', () => {
    const c = new Calendar();
    c.snapshot(snapshot([card('a'), card('b', { from: '09:20', until: '09:40', start: '2026-11-24T14:20:00Z' })]));
    const runs = { a: 0, b: 0, column: 0, shape: 0 };
    const stop = $effect.root(() => {
      $effect(() => void (c.cell('a')?.card, runs.a++));
      $effect(() => void (c.column('p1', '2026-11-24').placed, runs.column++));
      $effect(() => void (c.shape, runs.shape++));
      const b = c.column('p1', '2026-11-24').placed[1]?.cell;
      $effect(() => void (b?.card, runs.b++));
    });
    flushSync();
    c.delta({ seq: 2, cards: [card('a', { state: 'freed', revision: 2 })] });
    flushSync();
    expect(runs).toEqual({ a: 2, b: 1, column: 1, shape: 1 });
    stop();
  });

  it('moves a card between columns when its practitioner changes', () => {
    const c = new Calendar();
    c.snapshot(snapshot([card('a')]));
    c.delta({ seq: 2, cards: [card('a', { practitioner: 'p2', revision: 2 })] });
    expect(ids(c)).toEqual([]);
    expect(ids(c, 'p2')).toEqual(['a']);
    expect(c.practitioners.map((p) => p.id)).toEqual(['p1', 'p2']);
  });

  it('counts by state and day, through changes, removals and a new snapshot', () => {
    const c = new Calendar();
    c.snapshot(snapshot([card('a'), card('b'), card('x', { day: '2026-11-25' })]));
    c.delta({ seq: 2, cards: [card('a', { state: 'offered', revision: 2, asked: 3 })] });
    expect(c.counts(['2026-11-24'])).toMatchObject({ reserved: 1, offered: 1 });
    expect(c.counts(['2026-11-24', '2026-11-25'])).toMatchObject({ reserved: 2, offered: 1 });
    c.delta({ seq: 3, remove: ['b'] });
    expect(c.counts(['2026-11-24']).reserved).toBe(0);
    c.snapshot(snapshot([card('a', { state: 'confirmed', revision: 5 })], 9));
    expect(c.counts(['2026-11-24', '2026-11-25'])).toMatchObject({ reserved: 0, offered: 0, confirmed: 1 });
    expect(c.seq).toBe(9);
    expect(c.size).toBe(1);
  });

  it('keeps cells across a snapshot, so that focus and cards survive a resync', () => {
    const c = new Calendar();
    c.snapshot(snapshot([card('a')]));
    const cell = c.cell('a');
    c.snapshot(snapshot([card('a', { state: 'freed', revision: 2 })], 7));
    expect(c.cell('a')).toBe(cell);
    expect(cell?.card.state).toBe('freed');
  });

  it('orders offers by deadline and the rest by time', () => {
    const c = new Calendar();
    c.snapshot(
      snapshot([
        card('late', { state: 'offered', deadline: '2026-11-24T18:00:00Z' }),
        card('soon', { state: 'offered', deadline: '2026-11-24T15:00:00Z', start: '2026-11-24T20:00:00Z' }),
        card('f2', { state: 'freed', start: '2026-11-24T16:00:00Z' }),
        card('f1', { state: 'freed', start: '2026-11-24T15:00:00Z' }),
        card('r'),
      ]),
    );
    expect(c.queue('offered').map((x) => x.card.id)).toEqual(['soon', 'late']);
    expect(c.queue('freed').map((x) => x.card.id)).toEqual(['f1', 'f2']);
    expect(c.queue('reserved')).toEqual([]);
    c.delta({ seq: 2, cards: [card('soon', { state: 'reserved', revision: 2 })] });
    expect(c.queue('offered').map((x) => x.card.id)).toEqual(['late']);
  });

  it('ignores an answer older than what the feed brought', () => {
    const c = new Calendar();
    c.snapshot(snapshot([card('a', { state: 'offered', revision: 5 })]));
    c.take(card('a', { state: 'freed', revision: 4 }));
    expect(c.cell('a')?.card.state).toBe('offered');
    c.take(card('a', { state: 'confirmed', revision: 6 }));
    expect(c.cell('a')?.card.state).toBe('confirmed');
  });

  it('tells of changes of state once, and of none in a snapshot', () => {
    const c = new Calendar();
    const news: News[] = [];
    c.onNews = (n) => news.push(n);
    c.snapshot(snapshot([card('a')]));
    c.delta({ seq: 2, cards: [card('a', { state: 'offered', asked: 3, revision: 2 })] });
    c.delta({ seq: 3, cards: [card('a', { state: 'offered', asked: 4, revision: 3 })] });
    c.delta({ seq: 4, health: { status: 'suspended', since: '2026-11-24T13:00:00Z', open: 1 } });
    expect(news.map((n) => n.card?.state ?? n.health?.status)).toEqual(['offered', 'suspended']);
  });

  it('stretches the hours to the cards', () => {
    const c = new Calendar();
    c.snapshot(snapshot([card('a', { from: '06:40', until: '07:00' }), card('b', { from: '23:30', until: '00:10' })]));
    expect(c.hours(['2026-11-24'])).toEqual({ from: 360, until: 1440 });
    expect(c.hours(['2026-11-25'])).toEqual({ from: 480, until: 1020 });
  });
});
