// Times of the clinic. Days and times of day come from the server as wall-clock strings; instants
// are shown in the clinic's named zone. The browser's own zone is never used.
import type { Lang } from './i18n/i18n.svelte';

const nbsp = '\u00a0';
const locale = { fr: 'fr-CA', en: 'en-CA' } as const;

/** Minutes from midnight of "09:20"; "24:00" is 1440. */
export function minutes(hhmm: string): number {
  const [h, m] = hhmm.split(':');
  return Number(h) * 60 + Number(m);
}

/** "9 h 20" or "9:20", as people of the language write a time of day. */
export function timeOfDay(hhmm: string, lang: Lang): string {
  const all = minutes(hhmm);
  const h = Math.floor(all / 60);
  const m = String(all % 60).padStart(2, '0');
  return lang === 'fr' ? `${h}${nbsp}h${nbsp}${m}` : `${h}:${m}`;
}

const noon = (day: string) => new Date(`${day}T12:00:00Z`);

/** The day n days later; days are dates without a zone. */
export function addDays(day: string, n: number): string {
  const d = noon(day);
  d.setUTCDate(d.getUTCDate() + n);
  return d.toISOString().slice(0, 10);
}

/** Days from a to b. */
export const daysBetween = (a: string, b: string) => Math.round((noon(b).getTime() - noon(a).getTime()) / 86_400_000);

/** The Monday of the day's week. */
export const monday = (day: string) => addDays(day, -((noon(day).getUTCDay() + 6) % 7));

export const weekday = (day: string) => noon(day).getUTCDay();

const formats = new Map<string, Intl.DateTimeFormat>();

function format(lang: Lang, key: string, o: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const k = `${lang} ${key}`;
  let f = formats.get(k);
  if (!f) formats.set(k, (f = new Intl.DateTimeFormat(locale[lang], o)));
  return f;
}

export const longDay = (day: string, lang: Lang) =>
  format(lang, 'long', { timeZone: 'UTC', weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }).format(noon(day));

export const mediumDay = (day: string, lang: Lang) =>
  format(lang, 'medium', { timeZone: 'UTC', weekday: 'long', day: 'numeric', month: 'long' }).format(noon(day));

export const shortDay = (day: string, lang: Lang) =>
  format(lang, 'short', { timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short' }).format(noon(day));

/** An instant in the clinic's zone: its day, its time of day and the seconds. */
export function inZone(instant: string | number, zone: string): { day: string; time: string; seconds: string } {
  const parts: Record<string, string> = {};
  for (const p of format('en', zone, {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(new Date(instant))) {
    parts[p.type] = p.value;
  }
  return {
    day: `${parts.year}-${parts.month}-${parts.day}`,
    time: `${parts.hour}:${parts.minute}`,
    seconds: parts.second ?? '00',
  };
}

/** The time of day of an instant, with its day when that is not today. */
export function moment(instant: string | number, zone: string, today: string, lang: Lang): string {
  const z = inZone(instant, zone);
  const t = timeOfDay(z.time, lang);
  return z.day === today ? t : `${shortDay(z.day, lang)}, ${t}`;
}

/** Like moment, to the second, for a timeline. */
export function exactly(instant: string | number, zone: string, today: string, lang: Lang): string {
  const z = inZone(instant, zone);
  const t = `${z.time}:${z.seconds}`;
  return z.day === today ? t : `${shortDay(z.day, lang)}, ${t}`;
}

/**
 * What is left of a countdown: "0:05", "12:03", then "3 h 12" from one hour and "2 j 4 h" from
 * two days. Never negative.
 */
export function countdown(ms: number, lang: Lang): string {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
  const m = Math.floor(s / 60);
  if (m < 48 * 60) return `${Math.floor(m / 60)}${nbsp}h${nbsp}${String(m % 60).padStart(2, '0')}`;
  const h = Math.floor(m / 60);
  return `${Math.floor(h / 24)}${nbsp}${lang === 'fr' ? 'j' : 'd'}${nbsp}${h % 24}${nbsp}h`;
}

/** How long ago, coarsely: for the age of data and of messages. */
export function ago(ms: number, lang: Lang): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s}${nbsp}s`;
  if (s < 3600) return `${Math.floor(s / 60)}${nbsp}min`;
  return countdown(ms, lang);
}
