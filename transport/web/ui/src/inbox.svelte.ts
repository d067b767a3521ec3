// What waits for a person at the desk besides slots: replies that nobody could read, and contacts
// that no longer work. It is read again when the calendar moves and four times a minute.
import { api } from './api';
import type { Broken, Newcomers, Unread } from './wire';

const nobody: Newcomers = { open: false, link: '', joining: [], quiet: [] };

export class Inbox {
  unread: Unread[] = $state.raw([]);
  broken: Broken[] = $state.raw([]);
  newcomers: Newcomers = $state.raw(nobody);
  /** False until it was read once, and after a failure. */
  fresh = $state(false);
  #round = 0;

  get count(): number {
    return this.unread.length + this.broken.length + this.newcomers.joining.length + this.newcomers.quiet.length;
  }

  async load(clinic: string): Promise<void> {
    const mine = ++this.#round;
    try {
      const [u, b, n] = await Promise.all([api.unread(clinic), api.broken(clinic), api.newcomers(clinic)]);
      if (mine !== this.#round) return;
      // The same answer repaints nothing, so that what has the focus keeps it.
      if (JSON.stringify(u.unread) !== JSON.stringify(this.unread)) this.unread = u.unread;
      if (JSON.stringify(b.contacts) !== JSON.stringify(this.broken)) this.broken = b.contacts;
      if (JSON.stringify(n) !== JSON.stringify(this.newcomers)) this.newcomers = n;
      this.fresh = true;
    } catch {
      if (mine === this.#round) this.fresh = false;
    }
  }

  clear() {
    this.#round++;
    this.unread = [];
    this.broken = [];
    this.newcomers = nobody;
    this.fresh = false;
  }
}
