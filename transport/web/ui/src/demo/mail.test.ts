import { describe, expect, it } from 'vitest';
import { leads, openable, pieces } from './mail';

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
  it('says what a link leads to', () => {
    const links = ['/o/abc', '/o/abc/no', '/o/abc/leave', '/w/abc', '/o/abc/else'];
    expect(links.map((l) => leads('http://x.test' + l))).toEqual(['offer', 'no', 'leave', 'other', 'other']);
  });
  it('opens only web addresses', () => {
    expect(openable(['javascript:alert(1)', 'https://a.test', 'mailto:x@y.test'])).toEqual(['https://a.test']);
    expect(openable(null)).toEqual([]);
  });
});
