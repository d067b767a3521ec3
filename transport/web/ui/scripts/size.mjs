// Fails when the pages grow past their budgets, in kB (1,000 bytes) after gzip.
// The first load of the desk is what index.html names and what those files import statically.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const assets = join(dist, 'assets');
const gz = (file) => gzipSync(readFileSync(file), { level: 9 }).length;

const first = new Set();
const queue = [...readFileSync(join(dist, 'index.html'), 'utf8').matchAll(/\/assets\/([\w.-]+)/g)].map((m) => m[1]);
while (queue.length > 0) {
  const name = queue.pop();
  if (first.has(name)) continue;
  first.add(name);
  if (!name.endsWith('.js')) continue;
  const text = readFileSync(join(assets, name), 'utf8');
  for (const m of text.matchAll(/(?:import|from)\s*["']\.\/([\w.-]+\.js)["']/g)) queue.push(m[1]);
}
const sum = (names) => names.reduce((n, f) => n + gz(join(assets, f)), 0);
const all = readdirSync(assets);
const page = gz(join(dist, 'index.html'));
const figures = [
  ['desk, first load', page + sum([...first]), 60_000],
  ['desk and every other page', page + sum(all.filter((f) => !f.startsWith('Demo-'))), 240_000],
  ['demo on top of the desk', sum(all.filter((f) => f.startsWith('Demo-'))), 15_000],
];

let bad = false;
for (const [what, bytes, most] of figures) {
  const over = bytes > most;
  bad ||= over;
  console.log(`${over ? 'FAIL' : 'ok  '} ${what}: ${(bytes / 1000).toFixed(1)} kB of ${most / 1000} kB`);
}
process.exit(bad ? 1 : 0);
