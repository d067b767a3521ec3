// Lanes: appointments of one column that overlap stand side by side.

export interface Span {
  from: number;
  until: number;
}

export interface Lane {
  lane: number; // from 0
  of: number; // lanes of its cluster
}

/**
 * Gives each span a lane, in the order of the input. A cluster is a run of spans that overlap
 * directly or through others; all of a cluster share its width. Spans that only touch do not
 * overlap. An empty span counts as one minute.
 */
export function lanes(spans: readonly Span[]): Lane[] {
  const order = spans.map((_, i) => i);
  order.sort((a, b) => spans[a]!.from - spans[b]!.from || spans[b]!.until - spans[a]!.until || a - b);
  const out: Lane[] = spans.map(() => ({ lane: 0, of: 1 }));
  let cluster: number[] = [];
  let ends: number[] = []; // of each lane of the cluster
  let end = -Infinity;
  const close = () => {
    for (const i of cluster) out[i]!.of = ends.length;
    cluster = [];
    ends = [];
  };
  for (const i of order) {
    const s = spans[i]!;
    const until = Math.max(s.until, s.from + 1);
    if (s.from >= end) {
      close();
      end = -Infinity;
    }
    let lane = ends.findIndex((e) => e <= s.from);
    if (lane < 0) lane = ends.length;
    ends[lane] = until;
    out[i]!.lane = lane;
    cluster.push(i);
    end = Math.max(end, until);
  }
  close();
  return out;
}
