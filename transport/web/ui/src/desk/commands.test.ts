import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Card } from '../wire';

vi.stubGlobal('location', { search: '?clinic=a', hash: '#person=p-1', pathname: '/' });
const replaced: string[] = [];
vi.stubGlobal('history', { replaceState: (_: unknown, __: string, url: string) => replaced.push(url) });

const { deferred } = await import('./commands');
const { View } = await import('./view.svelte');

const card = (over: Partial<Card>): Card => ({ id: 's', state: 'freed', revision: 1, ...over }) as Card;

describe('undo', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is there while nobody was told', () => {
    expect(deferred(card({ state: 'approval' }), 'approve')).toBe(true);
    expect(deferred(card({}), 'withdraw')).toBe(true);
    expect(deferred(card({ asked: 3 }), 'withdraw')).toBe(false);
    expect(deferred(card({}), 'pause')).toBe(false);
    expect(deferred(card({}), 'book')).toBe(false);
  });

  it('lets a command wait, and forgets it', () => {
    const view = new View();
    const go = vi.fn();
    view.defer('s', 'approve', 10_000, go);
    vi.advanceTimersByTime(9_999);
    expect(go).not.toHaveBeenCalled();
    view.undo();
    vi.advanceTimersByTime(60_000);
    expect(go).not.toHaveBeenCalled();
    expect(view.deferred).toBeUndefined();
  });

  it('carries it out once: in its time, for the next one, or as the page goes', () => {
    const view = new View();
    const [a, b, c] = [vi.fn(), vi.fn(), vi.fn()];
    view.defer('s', 'approve', 10_000, a);
    vi.advanceTimersByTime(10_000);
    expect(a).toHaveBeenCalledTimes(1);
    view.defer('s', 'approve', 10_000, b);
    view.defer('t', 'withdraw', 10_000, c);
    expect(b).toHaveBeenCalledTimes(1);
    expect(c).not.toHaveBeenCalled();
    view.flush();
    vi.advanceTimersByTime(60_000);
    expect([a, b, c].map((f) => f.mock.calls.length)).toEqual([1, 1, 1]);
  });
});

describe('the address', () => {
  it('opens a record and forgets it when a slot is chosen', () => {
    const view = new View();
    expect(view.person).toBe('p-1');
    view.open({ unread: 'o/1' });
    expect(replaced.at(-1)).toBe('/?clinic=a#unread=o%2F1');
    view.select('s');
    expect(replaced.at(-1)).toBe('/?clinic=a&slot=s');
  });
});
