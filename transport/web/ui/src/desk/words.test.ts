import { describe, expect, it } from 'vitest';
import type { Card } from '../wire';
import { due } from './words';

const card = (over: Partial<Card>): Card => ({ id: 's', state: 'freed', revision: 1, ...over }) as Card;
const at = (minute: string) => `2026-03-02T14:${minute}:00Z`;

describe('due', () => {
  it('says what comes next', () => {
    const freed = card({ hold: at('00'), next: at('01'), deadline: at('30') });
    expect(due(freed)).toEqual({ at: Date.parse(at('00')), what: 'first' });
    expect(due({ ...freed, state: 'offered' })).toEqual({ at: Date.parse(at('01')), what: 'next' });
    expect(due(card({ state: 'offered', deadline: at('30') }))).toEqual({ at: Date.parse(at('30')), what: 'close' });
    expect(due({ ...freed, paused: true })).toBeUndefined();
    expect(due({ ...freed, state: 'confirmed' })).toBeUndefined();
  });

  it('does not announce a wave that has nobody to go to', () => {
    const alone = card({ exhausted: true, hold: at('00'), next: at('05') });
    expect(due(alone)).toEqual({ at: Date.parse(at('05')), what: 'look' });
    expect(due(card({ exhausted: true, hold: at('00') }))).toBeUndefined();
    expect(due({ ...alone, state: 'offered' })).toEqual({ at: Date.parse(at('05')), what: 'look' });
  });
});
