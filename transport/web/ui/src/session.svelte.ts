// Who is signed in.
import { api, ApiError, onSignedOut } from './api';
import type { Me, Permission } from './wire';

class Session {
  me: Me | undefined = $state.raw();
  /** Whether the first question to the server was answered. */
  asked = $state(false);
  /** The server did not answer it. */
  away = $state(false);
  /** A session that was there has ended. */
  ended = $state(false);

  constructor() {
    onSignedOut(() => this.lost());
  }

  /** Whether the account may do something in a clinic. The server asks again; this only hides what it refuses. */
  may(what: Permission, clinic: string | undefined): boolean {
    return this.me?.access.some((a) => a.clinic === clinic && a.may.includes(what)) ?? false;
  }

  async load() {
    try {
      this.me = await api.me();
      this.away = false;
      this.asked = true;
    } catch (e) {
      this.away = !(e instanceof ApiError && e.status === 401);
      this.asked = !this.away;
    }
  }

  /** Asks whether the session still exists, for a feed that was closed without a word. */
  async probe(): Promise<'yes' | 'no' | 'away'> {
    try {
      await api.me();
      return 'yes';
    } catch (e) {
      return e instanceof ApiError && e.status === 401 ? 'no' : 'away';
    }
  }

  async signIn(account: string, password: string, code = '') {
    await api.signIn(account, password, code);
    await this.arrived();
  }

  /** A session was opened in another way than by a password. */
  async arrived() {
    this.me = await api.me();
    this.ended = false;
  }

  async signOut() {
    try {
      await api.signOut();
    } finally {
      this.me = undefined;
      this.ended = false;
    }
  }

  lost() {
    if (this.me) this.ended = true;
    this.me = undefined;
  }
}

export const session = new Session();
