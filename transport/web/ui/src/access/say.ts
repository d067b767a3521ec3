// How these pages say that something failed, and when something was.
import { ApiError } from '../api';
import { i18n } from '../i18n/i18n.svelte';
import { words } from './words';

/** A failure in words; by holds the sentences of what is expected, by status. */
export function failure(e: unknown, by: Record<number, string> = {}): string {
  const w = words();
  if (!(e instanceof ApiError)) return e instanceof Error && e.message ? e.message : w.offline;
  if (e.status === 0) return w.offline;
  if (by[e.status]) return by[e.status] ?? '';
  return e.status === 429 ? w.tooMany : w.failed(e.detail);
}

/** An instant where the reader is: accounts belong to no clinic's zone. */
export const at = (instant: string) =>
  new Date(instant).toLocaleString(i18n.lang === 'fr' ? 'fr-CA' : 'en-CA', { dateStyle: 'medium', timeStyle: 'short' });
