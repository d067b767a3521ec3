import { expect, test } from 'vitest';
import { sentenceFr } from './dmesentences';

test('what varies stays as it is', () => {
  expect(sentenceFr("The record system's clock is 7m0s behind ours.")).toBe('L’horloge du DME retarde de 7m0s sur la nôtre.');
  expect(sentenceFr('12 of 30 coming slots vanished at once; this is not believed.')).toBe(
    '12 plages à venir sur 30 ont disparu d’un coup; Relais n’y croit pas.',
  );
  expect(sentenceFr('The record system refuses to be read: The record system refuses the request (404).')).toBe(
    'Le DME refuse d’être lu\u00a0: Le DME refuse la demande (404).',
  );
  expect(sentenceFr('Nobody wrote this.')).toBeUndefined();
});
