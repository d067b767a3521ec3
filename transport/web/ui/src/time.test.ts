import { describe, expect, it } from 'vitest';
import { addDays, ago, countdown, daysBetween, exactly, inZone, minutes, moment, monday, shortDay, timeOfDay } from './time';

const plain = (s: string) => s.replaceAll('\u00a0', ' ').replaceAll('\u202f', ' ');

describe('countdown', () => {
  it.each([
    [0, '0:00'],
    [-5000, '0:00'],
    [1, '0:01'],
    [5000, '0:05'],
    [59_999, '1:00'],
    [723_000, '12:03'],
    [3_599_000, '59:59'],
    [3_600_000, '1 h 00'],
    [11_520_000, '3 h 12'],
    [47 * 3_600_000 + 59 * 60_000, '47 h 59'],
    [52 * 3_600_000, '2 j 4 h'],
  ])('%i ms is %s', (ms, text) => {
    expect(plain(countdown(ms, 'fr'))).toBe(text);
  });
  it('counts days in English', () => {
    expect(plain(countdown(52 * 3_600_000, 'en'))).toBe('2 d 4 h');
  });
});

describe('clinic times', () => {
  it('writes the time of day as the language does', () => {
    expect(timeOfDay('09:20', 'fr')).toBe('9\u00a0h\u00a020');
    expect(timeOfDay('09:20', 'en')).toBe('9:20');
    expect(minutes('24:00')).toBe(1440);
  });
  it('uses the clinic zone on both sides of a change of clocks', () => {
    expect(inZone('2026-10-31T18:00:00Z', 'America/Toronto')).toEqual({ day: '2026-10-31', time: '14:00', seconds: '00' });
    expect(inZone('2026-11-02T18:00:05Z', 'America/Toronto')).toEqual({ day: '2026-11-02', time: '13:00', seconds: '05' });
    expect(inZone('2026-11-24T04:30:00Z', 'America/Toronto').day).toBe('2026-11-23');
    expect(inZone('2026-11-24T05:00:00Z', 'America/Toronto').time).toBe('00:00');
  });
  it('names the day only when it is another one', () => {
    expect(plain(moment('2026-11-24T14:20:00Z', 'America/Toronto', '2026-11-24', 'fr'))).toBe('9 h 20');
    expect(plain(moment('2026-11-25T14:20:00Z', 'America/Toronto', '2026-11-24', 'fr'))).toBe('mer. 25 nov., 9 h 20');
    expect(exactly('2026-11-24T14:20:07Z', 'America/Toronto', '2026-11-24', 'en')).toBe('09:20:07');
  });
  it('walks days as dates, over months and clock changes', () => {
    expect(addDays('2026-02-27', 2)).toBe('2026-03-01');
    expect(addDays('2026-11-01', 1)).toBe('2026-11-02');
    expect(monday('2026-11-29')).toBe('2026-11-23');
    expect(monday('2026-11-23')).toBe('2026-11-23');
    expect(daysBetween('2026-10-30', '2026-11-02')).toBe(3);
    expect(plain(shortDay('2026-11-24', 'fr'))).toBe('mar. 24 nov.');
  });
  it('says the age of data coarsely', () => {
    expect(plain(ago(41_000, 'fr'))).toBe('41 s');
    expect(plain(ago(125_000, 'fr'))).toBe('2 min');
  });
});
