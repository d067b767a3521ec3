import { expect, test } from 'vitest';
import { fr } from '../i18n/fr';
import { faultFr, modeFr } from './dmefr';

test('every fault has its sentence in French', () => {
  for (const code of Object.keys(fr.fault)) expect(faultFr(code), code).toBeTruthy();
  expect(faultFr('')).toBeUndefined();
});

test('the ways that a DME can be worked with have theirs', () => {
  for (const [what, mode] of [['push', 'rest-hook'], ['push', 'topic'], ['push', 'SIU'], ['booking', 'steps'], ['conflict', 'If-Match']])
    expect(modeFr(what!, mode!), `${what}/${mode}`).toBeTruthy();
  expect(modeFr('push', 'by pigeon')).toBeUndefined();
});
