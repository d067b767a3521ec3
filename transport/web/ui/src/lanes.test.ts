import { describe, expect, it } from 'vitest';
import { lanes, type Span } from './lanes';

const lay = (...spans: [number, number][]) =>
  lanes(spans.map(([from, until]) => ({ from, until }))).map((l) => `${l.lane}/${l.of}`);

describe('lanes', () => {
  it('gives the whole width to spans that only touch', () => {
    expect(lay([0, 20], [20, 40], [40, 60])).toEqual(['0/1', '0/1', '0/1']);
  });
  it('sets overlapping spans side by side', () => {
    expect(lay([0, 30], [10, 40])).toEqual(['0/2', '1/2']);
  });
  it('uses a lane again within a cluster', () => {
    expect(lay([0, 60], [0, 20], [20, 40])).toEqual(['0/2', '1/2', '1/2']);
  });
  it('keeps the order of the input', () => {
    expect(lay([10, 40], [0, 30])).toEqual(['1/2', '0/2']);
  });
  it('starts a new cluster after a gap', () => {
    expect(lay([0, 30], [0, 30], [0, 30], [30, 50])).toEqual(['0/3', '1/3', '2/3', '0/1']);
  });
  it('sees an empty span', () => {
    expect(lay([5, 5], [5, 5])).toEqual(['1/2', '0/2'].reverse());
  });
  it('never lets two spans of a lane overlap', () => {
    let seed = 1;
    const rnd = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
    for (let round = 0; round < 300; round++) {
      const spans: Span[] = Array.from({ length: rnd(12) + 1 }, () => {
        const from = rnd(100);
        return { from, until: from + rnd(40) };
      });
      const l = lanes(spans);
      spans.forEach((a, i) => {
        expect(l[i]!.lane).toBeLessThan(l[i]!.of);
        spans.forEach((b, j) => {
          if (i >= j) return;
          const overlap = a.from < Math.max(b.until, b.from + 1) && b.from < Math.max(a.until, a.from + 1);
          if (overlap) {
            expect(l[i]!.lane).not.toBe(l[j]!.lane);
            expect(l[i]!.of).toBe(l[j]!.of);
          }
        });
      });
    }
  });
});
