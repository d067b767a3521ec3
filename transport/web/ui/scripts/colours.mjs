// Checks the colours of app.css, light and dark: text reads at 4.5:1 on everything it stands on,
// edges and icons at 3:1, and each pair of states is apart by a CIE76 delta E >= 10 for full colour
// vision and under simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009).
import { readFileSync } from 'node:fs';

const css = readFileSync(new URL('../src/app.css', import.meta.url), 'utf8');
const states = ['freed', 'approval', 'offered', 'confirmed', 'expired', 'suspended', 'reserved'];

function block(start) {
  const i = css.indexOf(start);
  if (i < 0) throw new Error(`app.css has no ${start}`);
  const body = css.slice(css.indexOf('{', i) + 1, css.indexOf('}', i));
  return Object.fromEntries([...body.matchAll(/--([\w-]+):\s*([^;]+);/g)].map((m) => [m[1], m[2].trim()]));
}
const themes = { light: block(':root {'), dark: block("[data-theme='dark'] {") };
const auto = block(":root:not([data-theme='light']) {");

const rgb = (hex) => {
  if (!/^#[0-9a-f]{6}$/i.test(hex)) throw new Error(`not a colour: ${hex}`);
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
};
const mix = (a, b, share) => a.map((v, i) => v * share + b[i] * (1 - share)); // as CSS in srgb
const linear = (c) => c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
const clamp = (c) => c.map((v) => Math.min(1, Math.max(0, v)));
const luminance = (c) => {
  const [r, g, b] = linear(c);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};

const sight = {
  normal: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};
function lab(c, m) {
  const [r, g, b] = linear(c);
  const [R, G, B] = clamp([0, 3, 6].map((i) => m[i] * r + m[i + 1] * g + m[i + 2] * b));
  const f = (t) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27 / 116) * t + 16 / 116);
  const x = f((0.4124564 * R + 0.3575761 * G + 0.1804375 * B) / 0.95047);
  const y = f(0.2126729 * R + 0.7151522 * G + 0.072175 * B);
  const z = f((0.0193339 * R + 0.119192 * G + 0.9503041 * B) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
// CIE76: the plain distance in CIELAB.
const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

const wrong = [];
let lowest = { ratio: 99 };
let nearest = { distance: 999 };
function reads(theme, what, fg, bg, least) {
  const ratio = contrast(fg, bg);
  if (least === 4.5 && ratio < lowest.ratio) lowest = { ratio, theme, what };
  if (ratio < least) wrong.push(`${theme}: ${what} has ${ratio.toFixed(2)}:1, needs ${least}:1`);
}

for (const [name, t] of Object.entries(themes)) {
  const c = (token) => rgb(t[token]);
  const share = parseFloat(t.tint) / 100;
  for (const s of states) {
    const edge = c(s);
    const fill = mix(edge, c('surface'), share);
    reads(name, `text on ${s}`, c('text'), fill, 4.5);
    reads(name, `muted text on ${s}`, c('muted'), fill, 4.5);
    reads(name, `edge and icon of ${s} on its fill`, edge, fill, 3);
    reads(name, `edge of ${s} on the grid`, edge, c('surface'), 3);
    // The stripes of a suspended card add to its fill; its small text is not muted.
    if (s === 'suspended') reads(name, 'text on stripes', c('text'), mix(edge, fill, 0.12), 4.5);
  }
  for (const on of ['bg', 'surface', 'raised', 'accent-soft']) {
    reads(name, `text on ${on}`, c('text'), c(on), 4.5);
    reads(name, `accent on ${on}`, c('accent'), c(on), 4.5);
    if (on !== 'accent-soft') {
      reads(name, `muted on ${on}`, c('muted'), c(on), 4.5);
      reads(name, `danger on ${on}`, c('danger'), c(on), 4.5);
      reads(name, `ok on ${on}`, c('ok'), c(on), 4.5);
      reads(name, `borders of controls on ${on}`, c('line-strong'), c(on), 3);
      reads(name, `focus on ${on}`, c('focus'), c(on), 3);
    }
  }
  reads(name, 'suspended on bg', c('suspended'), c('bg'), 4.5);
  reads(name, 'suspended on raised', c('suspended'), c('raised'), 4.5);
  reads(name, 'confirmed on surface', c('confirmed'), c('surface'), 4.5);
  reads(name, 'accent-text on accent', c('accent-text'), c('accent'), 4.5);
  reads(name, 'danger on danger-soft', c('danger'), c('danger-soft'), 4.5);
  reads(name, 'warn-text on warn-bg', c('warn-text'), c('warn-bg'), 4.5);
  reads(name, 'text on bubble', c('text'), c('bubble'), 4.5);
  reads(name, 'bubble-mine-text on bubble-mine', c('bubble-mine-text'), c('bubble-mine'), 4.5);
  reads(name, 'now tag', c('surface'), c('now'), 4.5);
  for (const [who, m] of Object.entries(sight)) {
    for (let i = 0; i < states.length; i++) {
      for (let j = i + 1; j < states.length; j++) {
        const distance = apart(lab(c(states[i]), m), lab(c(states[j]), m));
        if (distance < nearest.distance) nearest = { distance, theme: name, pair: `${states[i]} and ${states[j]}`, who };
        if (distance < 10) wrong.push(`${name}, ${who}: ${states[i]} and ${states[j]} are ${distance.toFixed(1)} apart, need 10`);
      }
    }
  }
}
for (const [k, v] of Object.entries(themes.dark)) {
  if (auto[k] !== v) wrong.push(`dark: --${k} is ${v} by choice and ${auto[k]} by the device's preference`);
}

console.log(`Lowest text contrast: ${lowest.ratio.toFixed(2)}:1 (${lowest.theme}, ${lowest.what}).`);
console.log(`Nearest states: ${nearest.pair}, ${nearest.distance.toFixed(1)} (${nearest.theme}, ${nearest.who}).`);
for (const w of wrong) console.error(`FAIL ${w}`);
process.exit(wrong.length > 0 ? 1 : 0);
