// How a manager lets Relais do more by itself: a slot is freed in shadow mode, then in approval, then the
// clinic goes to automatic. And for whom: the fairness table. In both languages and themes.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { cancel, cards, expect, shot, test } from './relais';

async function clean(page: Page, what: string) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .include('dialog[open]')
    .analyze();
  expect(
    violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`),
    what,
  ).toEqual([]);
  await shot(page, what);
}

const ladder = async (page: Page) => {
  await page.locator('header [data-mode]').click();
  await expect(page.locator('dialog[open] [data-step][aria-current=step]')).toHaveCount(1);
};

/** Takes a step of the ladder and leaves the dialog. */
async function step(page: Page, mode: string, says: string) {
  await ladder(page);
  await page.locator(`[data-step=${mode}] button`).click();
  await expect(page.locator('#mode-what')).toContainText(says);
  await page.locator('[data-confirm]').click();
  await expect(page.locator(`[data-step=${mode}][aria-current=step]`)).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.locator(`header [data-mode=${mode}]`)).toBeVisible();
}

test('from shadow to approval to automatic', async ({ open, relais }) => {
  const demo = await open('/demo');
  const clinic = new URL(demo.url()).searchParams.get('clinic') ?? '';
  const desk = await open(`/?clinic=${clinic}`);
  await step(desk, 'shadow', 'Relais n’écrit plus à personne');
  await expect(demo.locator('header [data-mode=shadow]')).toBeVisible(); // another page hears of it

  await cancel(demo, 2);
  await expect(cards(demo, 'freed')).toHaveCount(1, { timeout: 60_000 });
  await ladder(desk);
  const would = desk.locator('[data-would]');
  await expect(async () => {
    await desk.keyboard.press('Escape');
    await ladder(desk);
    await expect(would).toHaveCount(1, { timeout: 2000 });
  }).toPass({ timeout: 90_000 });
  await expect(would).toContainText(/\(.+\)/); // a name and a channel
  expect(await relais.sent()).toEqual([]);
  await expect(desk.locator('[data-figures=mode-would]')).toContainText('Plages vues en mode fantôme');
  await clean(desk, 'mode-fr-light');
  await desk.setViewportSize({ width: 360, height: 780 });
  await clean(desk, 'mode-360');
  expect(await desk.evaluate(() => document.querySelector('dialog[open]')!.scrollWidth)).toBeLessThanOrEqual(360);
  await desk.setViewportSize({ width: 1280, height: 900 });
  await desk.keyboard.press('Escape');

  // The slot's own timeline says it too, and why not the others.
  await cards(demo, 'freed').first().click();
  await expect(demo.locator('.panel')).toContainText('Une vague serait partie.');
  await expect(demo.locator('.panel')).toContainText('pas jointes');

  await step(desk, 'approval', 'attend votre approbation');
  await expect(cards(demo, 'approval')).toHaveCount(1);
  expect(await relais.sent()).toEqual([]);

  await ladder(desk);
  await desk.locator('[data-step=automatic] button').click();
  await expect(desk.locator('#mode-what')).toContainText('Dès maintenant, Relais écrira aux patients sans approbation');
  await clean(desk, 'mode-confirm');
  await desk.locator('[data-confirm]').click();
  await expect(cards(demo, 'offered')).toHaveCount(1);
  await expect.poll(async () => (await relais.sent()).length, { timeout: 60_000 }).toBeGreaterThan(0);
});

test('the ladder and the fairness table in English and in the dark', async ({ open, relais }) => {
  const desk = await open('/', { colorScheme: 'dark' }, 'en');
  await ladder(desk);
  await expect(desk.locator('#mode-plan + ul')).toContainText('a slot freed at 10:00 for 15:00');
  const table = desk.locator('[data-fairness] table');
  await expect(table.locator('thead')).toContainText('People (n)');
  const rows = await table.locator('tbody tr[data-group] td:nth-child(2)').allInnerTexts();
  expect(rows.length).toBeGreaterThanOrEqual(4);
  for (const n of rows) expect(Number(n)).toBeGreaterThanOrEqual(5);
  await clean(desk, 'mode-en-dark');
  await table.scrollIntoViewIfNeeded();
  await shot(desk, 'fairness-en-dark');

  const href = (await desk.locator('[data-csv]').getAttribute('href')) ?? '';
  const csv = await desk.request.get(relais.ready.url + href);
  expect(csv.headers()['content-type']).toContain('text/csv');
  expect(await csv.text()).toMatch(/^dimension,group,people,offers,fills\r\nall,all,\d+,/);

  await desk.keyboard.press('Escape');
  const other = await desk.request.get(`${relais.ready.url}/api/v1/clinics/nowhere/fairness`);
  expect(other.status()).toBe(404);
});

test('the fairness table in French and in the dark, the ladder in English and in the light', async ({ open }) => {
  const dark = await open('/', { colorScheme: 'dark' }, 'fr');
  await ladder(dark);
  await expect(dark.locator('[data-fairness]')).toContainText('Offres par personne');
  await clean(dark, 'mode-fr-dark');
  const light = await open('/', {}, 'en');
  await ladder(light);
  await expect(light.locator('[data-step=shadow]')).toContainText('Nothing leaves');
  await clean(light, 'mode-en-light');
});
