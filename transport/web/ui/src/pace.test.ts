import { expect, test } from 'vitest';
import type { Sink } from './feed';
import { beat, credit, Pace } from './pace';
import type { Delta, Ping, Snapshot } from './wire';

function bench() {
  let now = 1000;
  let due: { at: number; f: () => void } | undefined;
  const log: string[] = [];
  const sink: Sink = {
    snapshot: (s) => log.push(`${now} snapshot ${s.seq}`),
    delta: (d) => log.push(`${now} ${d.seq}`),
    ping: () => log.push(`${now} ping`),
    link: (l) => log.push(`${now} ${l}`),
  };
  const pace = new Pace(sink, {
    now: () => now,
    later: (ms, f) => {
      due = { at: now + ms, f };
      return () => (due = undefined);
    },
  });
  const to = (t: number) => {
    if (due && due.at <= t) {
      now = due.at;
      const { f } = due;
      due = undefined;
      f();
    }
    now = t;
  };
  return { pace, log, to };
}
const delta = (seq: number): Delta => ({ seq });

test('a change that comes alone is shown at once', () => {
  const { pace, log, to } = bench();
  pace.delta(delta(1));
  to(1000 + beat);
  pace.delta(delta(2));
  expect(log).toEqual(['1000 1', `${1000 + beat} 2`]);
});

test('the few moments of one claim are shown at once', () => {
  const { pace, log, to } = bench();
  for (let i = 0; i < credit; i++) {
    to(1000 + 10 * i);
    pace.delta(delta(i + 1));
  }
  expect(log).toEqual(Array.from({ length: credit }, (_, i) => `${1000 + 10 * i} ${i + 1}`));
});

test('changes that keep coming are shown together, in order, and none is lost', () => {
  const { pace, log, to } = bench();
  for (let i = 0; i < 100; i++) {
    to(1000 + 50 * i);
    pace.delta(delta(i + 1));
    pace.link('live'); // as the feed does after each message
  }
  to(9000);
  log.splice(0, log.length, ...log.filter((l) => !l.endsWith('live')));
  expect(log.map((l) => Number(l.split(' ')[1]))).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  expect(new Set(log.map((l) => l.split(' ')[0])).size).toBeLessThanOrEqual(credit + 5000 / beat + 1);
});

test('a snapshot makes what waits void, and a lost link brings it first', () => {
  const { pace, log } = bench();
  for (let i = 1; i <= credit + 1; i++) pace.delta(delta(i));
  pace.snapshot({ seq: 9 } as Snapshot);
  pace.delta(delta(10));
  pace.ping({ seq: 10 } as Ping);
  pace.link('lost');
  expect(log).toEqual([
    ...Array.from({ length: credit }, (_, i) => `1000 ${i + 1}`),
    '1000 snapshot 9',
    '1000 ping',
    '1000 10',
    '1000 lost',
  ]);
});
