import { describe, expect, it } from 'vitest';
import { en as demoEn } from '../demo/en';
import { fr as demoFr } from '../demo/fr';
import { en as modesEn } from '../modes/en';
import { fr as modesFr } from '../modes/fr';
import { en as peopleEn } from '../people/en';
import { fr as peopleFr } from '../people/fr';
import { en } from './en';
import { fr } from './fr';

type Leaf = string | ((...a: never[]) => string);

function leaves(o: object, at = ''): Map<string, Leaf> {
  const out = new Map<string, Leaf>();
  for (const [k, v] of Object.entries(o)) {
    const path = at ? `${at}.${k}` : k;
    if (typeof v === 'object' && v !== null) for (const [p, l] of leaves(v, path)) out.set(p, l);
    else out.set(path, v as Leaf);
  }
  return out;
}

/** Sentences are called with a number that reads as a name too. */
const say = (l: Leaf): string => (typeof l === 'string' ? l : (l as (...a: number[]) => string)(2, 3, 4));

describe.each([
  ['desk', fr, en],
  ['demo', demoFr, demoEn],
  ['people', peopleFr, peopleEn],
  ['modes', modesFr, modesEn],
])('the catalogue of the %s', (_, french, english) => {
  const f = leaves(french);
  const e = leaves(english);

  it('has the same keys in both languages', () => {
    expect([...e.keys()].sort()).toEqual([...f.keys()].sort());
  });

  it('leaves nothing empty or undefined', () => {
    for (const [k, l] of [...f, ...e]) {
      expect(say(l).trim(), k).not.toBe('');
      expect(say(l), k).not.toMatch(/undefined|NaN/);
    }
  });

  it('holds the signs of French apart with U+00A0', () => {
    for (const [k, l] of f) {
      expect(say(l), k).not.toMatch(/[^\u00a0\d«][:?!»](?!\/)/);
      expect(say(l), k).not.toMatch(/«[^\u00a0]/);
      expect(say(l), k).not.toContain("'");
    }
  });

  it('says words of its own in each language', () => {
    const same = [...f].filter(([k, l]) => typeof l === 'string' && l.length > 14 && say(e.get(k) ?? '') === l).map(([k]) => k);
    expect(same).toEqual([]);
  });
});
