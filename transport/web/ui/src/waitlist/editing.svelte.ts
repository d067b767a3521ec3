// A form over a record that others may change too. It remembers what it began from, so that a conflict can
// say what is different and nothing is lost on either side.
import { ApiError } from '../api';
import { i18n } from '../i18n/i18n.svelte';
import type { Changed, PatientRecord } from '../wire';
import { differences, reapplied, type Difference, type Form } from './conflict';

interface Kind<F> {
  /** The record as a form. */
  read: (r: PatientRecord) => F;
  /** Its revision there. */
  revision: (r: PatientRecord) => number;
  save: (f: F, revision: number) => Promise<PatientRecord>;
  /** The record as it is now. */
  fresh: () => Promise<PatientRecord>;
}

export class Editing<F extends Form> {
  form: F = $state() as F;
  busy = $state(false);
  error = $state('');
  changed: Changed | undefined = $state.raw();
  differ: Difference[] = $state.raw([]);
  now: PatientRecord | undefined = $state.raw();
  #base: F;
  #revision: number;
  readonly #kind: Kind<F>;

  constructor(r: PatientRecord, kind: Kind<F>) {
    this.#kind = kind;
    this.#base = kind.read(r);
    this.#revision = kind.revision(r);
    this.form = { ...this.#base };
  }

  /** Saves; the record afterwards, or undefined when something stood in the way. */
  async save(): Promise<PatientRecord | undefined> {
    if (this.busy) return undefined;
    this.busy = true;
    this.error = '';
    try {
      const r = await this.#kind.save($state.snapshot(this.form) as F, this.#revision);
      this.changed = undefined;
      return r;
    } catch (e) {
      const err = e instanceof ApiError ? e : new ApiError(0, '', '');
      if (err.status === 409 && err.changed) await this.#compare(err.changed);
      else this.error = err.status === 0 ? i18n.t.action.offline : i18n.t.action.failed(err.detail);
      return undefined;
    } finally {
      this.busy = false;
    }
  }

  async #compare(by: Changed) {
    try {
      this.now = await this.#kind.fresh();
    } catch {
      this.error = i18n.t.action.offline;
      return;
    }
    this.differ = differences(this.#base, this.#kind.read(this.now), $state.snapshot(this.form) as F);
    this.changed = by;
  }

  /** Gives up what was written: the form is the record as it is now. */
  take() {
    if (!this.now) return;
    this.#base = this.#kind.read(this.now);
    this.form = { ...this.#base };
    this.#revision = this.#kind.revision(this.now);
    this.changed = undefined;
  }

  /** Puts what was written on top of the record as it is now, and saves that. */
  async reapply(): Promise<PatientRecord | undefined> {
    if (!this.now) return undefined;
    const theirs = this.#kind.read(this.now);
    this.form = reapplied(this.#base, theirs, $state.snapshot(this.form) as F);
    this.#base = theirs;
    this.#revision = this.#kind.revision(this.now);
    return this.save();
  }
}
