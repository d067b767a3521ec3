// How cards are put into words, for people who see them and for those who hear them.
import { i18n, type Lang } from '../i18n/i18n.svelte';
import { inZone, mediumDay, timeOfDay } from '../time';
import type { Card, ClinicInfo } from '../wire';

/** When the next thing happens to a card by itself, and what; undefined when nothing will. */
export function due(c: Card): { at: number; what: 'first' | 'next' | 'look' | 'close' } | undefined {
  if (c.paused) return undefined;
  // Nobody fitted when it was looked last: the next look may find nobody either.
  if ((c.state === 'freed' || c.state === 'offered') && c.exhausted && c.next) return { at: Date.parse(c.next), what: 'look' };
  if (c.state === 'freed' && c.hold && !c.exhausted) return { at: Date.parse(c.hold), what: 'first' };
  if (c.state === 'offered' && c.next) return { at: Date.parse(c.next), what: 'next' };
  if (c.state === 'offered' && c.deadline) return { at: Date.parse(c.deadline), what: 'close' };
  return undefined;
}

export const range = (c: Card, lang: Lang) =>
  i18n.t.card.range(timeOfDay(c.from, lang), timeOfDay(c.until, lang));

/** One sentence for a screen reader. It holds times of day, never a countdown that would go stale. */
export function sentence(c: Card, who: string, clinic: ClinicInfo | undefined): string {
  const t = i18n.t;
  const parts = [range(c, i18n.lang), who, t.state[c.state]];
  if (c.patient) parts.push(c.patient);
  if (c.asked) parts.push(t.card.askedLong(c.asked));
  if (c.paused) parts.push(t.card.paused);
  if (c.exhausted && (c.state === 'freed' || c.state === 'offered')) parts.push(t.card.exhausted);
  const d = due(c);
  if (d && clinic) {
    const at = timeOfDay(inZone(d.at, clinic.zone).time, i18n.lang);
    parts.push({ first: t.card.leaves(at), next: t.card.nextWave(at), look: t.card.looks(at), close: t.card.closes(at) }[d.what]);
  }
  return parts.join(', ');
}

/** Where a slot is, for the log and for lists: "9 h 20, lundi 24 novembre, Dre Roy". */
export const whereabouts = (c: Card, who: string) =>
  `${timeOfDay(c.from, i18n.lang)}, ${mediumDay(c.day, i18n.lang)}, ${who}`;
