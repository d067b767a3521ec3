import { describe, expect, it } from 'vitest';
import { openable, pieces } from './mail';

describe('pieces', () => {
  it('makes links of addresses and leaves the dot outside', () => {
    expect(pieces('Répondez: http://x.test/o/abc. Merci')).toEqual([
      { text: 'Répondez: ' },
      { text: 'http://x.test/o/abc', href: 'http://x.test/o/abc' },
      { text: '. Merci' },
    ]);
  });
  it('keeps a text without links whole', () => {
    expect(pieces('OUI')).toEqual([{ text: 'OUI' }]);
  });
  it('opens only web addresses', () => {
    expect(openable(['javascript:alert(1)', 'https://a.test', 'mailto:x@y.test'])).toEqual(['https://a.test']);
    expect(openable(null)).toEqual([]);
  });
});
