// What the person is looking at. It is kept in the address, so that reload and back work.
import { addDays, monday } from '../time';
import type { ActionName } from '../wire';

export type Mode = 'day' | 'week' | 'list';
export type Tab = 'queue' | 'waitlist';
export type Confirming = '' | 'withdraw' | 'book';

const isMode = (m: string | null): m is Mode => m === 'day' || m === 'week' || m === 'list';
const isDay = (d: string | null): d is string => d !== null && /^\d{4}-\d\d-\d\d$/.test(d);

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
  /** Does what was refused after all. */
  again?: (() => void) | undefined;
}

/** A command that has not left yet and can be undone. */
export interface Deferred {
  slot: string;
  action: ActionName;
  until: number;
}

export class View {
  clinic = $state('');
  mode: Mode = $state('day');
  day = $state('');
  practitioner = $state('');
  slot = $state('');
  tab: Tab = $state('queue');
  confirming: Confirming = $state('');
  adding = $state(false);
  /** The reply that is being read, and the patient whose record is open: identifiers. */
  unread = $state('');
  person = $state('');
  messages = $state(false);
  search = $state('');
  /** What is looked for on the waitlist, and in which status; it outlasts a look at one person. */
  find = $state('');
  among = $state('waiting');
  help = $state(false);
  health = $state(false);
  /** The dialog about what Relais does by itself. */
  ladder = $state(false);
  /** Where the grid's one tab stop is. */
  focus = $state('');
  notices: Notice[] = $state([]);
  /** The command that waits, if one does. */
  deferred: Deferred | undefined = $state.raw();
  #go: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #notice = 0;

  constructor() {
    this.#read();
  }

  /** The days that the calendar shows. */
  days(shown: readonly number[]): string[] {
    if (!this.day) return [];
    if (this.mode === 'day') return [this.day];
    const m = monday(this.day);
    return shown.map((n) => addDays(m, n));
  }

  /** Opens a reply or a patient's record in the panel, or closes it. */
  open(what: { unread?: string; person?: string }) {
    this.unread = what.unread ?? '';
    this.person = what.person ?? '';
    if (this.unread) this.tab = 'queue';
    if (this.person) this.adding = false;
    this.write();
  }

  select(slot: string) {
    this.slot = slot;
    this.unread = '';
    this.person = '';
    this.confirming = '';
    if (slot) this.tab = 'queue';
    this.write();
  }

  show(what: Partial<Pick<View, 'clinic' | 'mode' | 'day' | 'practitioner'>>) {
    if (what.clinic !== undefined && what.clinic !== this.clinic) {
      this.practitioner = '';
      this.slot = '';
      this.focus = '';
      this.search = '';
      this.find = '';
      this.unread = '';
      this.person = '';
    }
    Object.assign(this, what);
    this.write();
  }

  say(text: string, bad = false, again?: () => void) {
    const id = ++this.#notice;
    this.notices = [...this.notices.slice(-2), { id, text, bad, again }];
    setTimeout(() => this.dismiss(id), again ? 30_000 : bad ? 12_000 : 5_000);
  }

  dismiss(id: number) {
    this.notices = this.notices.filter((n) => n.id !== id);
  }

  /** Lets a command wait; one that waits already leaves at once. */
  defer(slot: string, action: ActionName, ms: number, go: () => void) {
    this.flush();
    this.deferred = { slot, action, until: Date.now() + ms };
    this.#go = go;
    this.#timer = setTimeout(() => this.flush(), ms);
  }

  /** Carries out what waits, now. A page that goes away does so too. */
  flush() {
    const go = this.#go;
    this.undo();
    go?.();
  }

  /** Forgets what waits. Nothing has happened yet. */
  undo() {
    clearTimeout(this.#timer);
    this.#go = undefined;
    this.deferred = undefined;
  }

  #read() {
    const q = new URLSearchParams(location.search);
    this.clinic = q.get('clinic') ?? '';
    const mode = q.get('view');
    if (isMode(mode)) this.mode = mode;
    const day = q.get('day');
    if (isDay(day)) this.day = day;
    this.practitioner = q.get('with') ?? '';
    this.slot = q.get('slot') ?? '';
    const h = new URLSearchParams(location.hash.slice(1));
    this.unread = h.get('unread') ?? '';
    this.person = h.get('person') ?? '';
    this.messages = h.has('messages');
    this.ladder = h.has('mode');
  }

  write() {
    const q = new URLSearchParams();
    if (this.clinic) q.set('clinic', this.clinic);
    if (this.mode !== 'day') q.set('view', this.mode);
    if (this.day) q.set('day', this.day);
    if (this.practitioner && this.mode === 'week') q.set('with', this.practitioner);
    if (this.slot) q.set('slot', this.slot);
    const h = new URLSearchParams();
    if (this.unread) h.set('unread', this.unread);
    if (this.person) h.set('person', this.person);
    if (this.messages) h.set('messages', '');
    if (this.ladder) h.set('mode', '');
    const hash = h.size > 0 ? `#${h}` : '';
    history.replaceState(null, '', `${location.pathname}?${q}${hash}`);
  }
}
