// Two people at one record: what the first changed, and what of the second's work still stands.

export type Value = string | number | boolean | readonly string[];
export type Form = Record<string, Value>;

export interface Difference {
  field: string;
  was: Value;
  theirs: Value;
  mine: Value;
}

const same = (a: Value | undefined, b: Value | undefined) => JSON.stringify(a) === JSON.stringify(b);

/** The fields that are not any more what the person began from, with what they had in mind for them. */
export function differences(base: Form, theirs: Form, mine: Form): Difference[] {
  return Object.keys(theirs)
    .filter((f) => !same(base[f], theirs[f]))
    .map((f) => ({ field: f, was: base[f] ?? '', theirs: theirs[f] ?? '', mine: mine[f] ?? '' }));
}

/** What the person changed, on top of what is there now. */
export function reapplied<F extends Form>(base: F, theirs: F, mine: F): F {
  const out: Form = { ...theirs };
  for (const f of Object.keys(mine)) if (!same(base[f], mine[f])) out[f] = mine[f] as Value;
  return out as F;
}
