// The commands of the front desk on one slot: which are possible, and carrying one out.
import { api, ApiError } from '../api';
import type { Calendar } from '../calendar.svelte';
import { i18n } from '../i18n/i18n.svelte';
import { exactly } from '../time';
import type { ActionName, Card } from '../wire';
import type { View } from './view.svelte';

/** The commands that make sense for a card, in the order to show them. */
export function possible(c: Card): ActionName[] {
  if (c.todo) return ['settle'];
  const pause: ActionName = c.paused ? 'resume' : 'pause';
  switch (c.state) {
    case 'free':
      return ['free'];
    case 'approval':
      return ['approve', 'book', 'withdraw'];
    case 'freed':
    case 'offered':
      return c.paused ? [pause, 'book', 'withdraw'] : ['send_now', pause, 'book', 'withdraw'];
    case 'suspended':
      return [pause, 'withdraw'];
    default:
      return [];
  }
}

/** How long a command waits in which it can be undone, in milliseconds. */
export const undoable = 10_000;

/** Whether a command is one that can be taken back: nobody was told of the slot yet. */
export const deferred = (card: Card, action: ActionName) =>
  action === 'approve' || action === 'free' || (action === 'withdraw' && !card.asked);

/**
 * Carries a command out, or lets it wait ten seconds where it can be undone. The revision is that of
 * the press: what somebody else does meanwhile makes it a conflict.
 */
export async function request(calendar: Calendar, view: View, card: Card, action: ActionName, entry?: string) {
  if (!deferred(card, action)) return run(calendar, view, card, action, entry);
  view.defer(card.id, action, undoable, () => void run(calendar, view, card, action, entry));
  return true;
}

/** Sends a command and says what came of it. Reports whether it was done. */
export async function run(
  calendar: Calendar,
  view: View,
  card: Card,
  action: ActionName,
  entry?: string,
): Promise<boolean> {
  const clinic = calendar.clinic?.id;
  if (!clinic || !calendar.live) return false;
  const t = i18n.t.action;
  try {
    const after = await api.act(clinic, card.id, {
      action,
      revision: card.revision,
      ...(entry === undefined ? {} : { entry }),
    });
    calendar.take(after);
    view.say(t.done[action]);
    return true;
  } catch (e) {
    const err = e instanceof ApiError ? e : new ApiError(0, 'offline', '');
    if (err.status === 409) {
      if (err.card) calendar.take(err.card);
      const changed = err.card !== undefined && err.card.revision !== card.revision;
      const byHand = (err.card?.by_revision ?? 0) > card.revision;
      // What was meant may still be possible: one press does it, on the slot as it is now.
      const now = err.card;
      const again = changed && now && possible(now).includes(action) ? () => void run(calendar, view, now, action, entry) : undefined;
      if (err.changed) view.say(t.conflictAt(err.changed.by, exactly(err.changed.at, calendar.clinic?.zone ?? 'UTC', calendar.clinic?.today ?? '', i18n.lang)), true, again);
      else if (byHand && err.card?.by) view.say(t.conflict(err.card.by), true, again);
      else if (changed) view.say(t.conflictUnknown, true, again);
      else view.say(t.failed(err.detail), true);
    } else if (err.status === 0) {
      view.say(t.offline, true);
    } else if (err.status !== 401) {
      view.say(t.failed(err.detail), true);
    }
    return false;
  }
}
