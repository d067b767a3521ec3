// A manager's page: what became of the freed slots, in both languages and themes, by period and practitioner, as a
// file, on paper and on a telephone.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { cancel, cards, expect, shot, test, type Open } from './relais';

async function clean(page: Page, what: string) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  expect(
    violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`),
    what,
  ).toEqual([]);
  await shot(page, what);
}

/** Opens the page beside the desk, whose link says when somebody is signed in. */
async function insights(open: Open, clinic = '', options = {}, lang = 'fr'): Promise<Page> {
  const page = await open('/', options, lang);
  await page.goto(new URL(`/insights${clinic && `?clinic=${clinic}`}`, page.url()).href);
  return page;
}

const count = (page: Page, id: string) =>
  page.locator(`[data-table=steps] tbody td:nth-child(${id})`).allInnerTexts().then((all) => all.reduce((sum, n) => sum + Number(n), 0));

test('slots that were filled are on the page, its plots, its tables and its file', async ({ open }) => {
  const demo = await open('/demo');
  const clinic = new URL(demo.url()).searchParams.get('clinic') ?? '';
  await cancel(demo, 2);
  await expect(cards(demo, 'offered')).toHaveCount(1, { timeout: 90_000 });
  await cards(demo, 'offered').click();
  const text = demo.locator('#demo-phones [data-thread]:has([data-kind=sms] .bubble)');
  await expect(async () => {
    if ((await text.count()) === 0) await demo.locator('[data-action=send_now]').click({ timeout: 2000 });
    await expect(text.first()).toBeVisible({ timeout: 4000 });
  }).toPass({ timeout: 60_000 });
  await text.first().locator('.reply button').first().click();
  await expect(cards(demo, 'confirmed').first()).toBeVisible({ timeout: 60_000 });

  const page = await insights(open, clinic);
  await expect(page.locator('[data-figure=fill]')).toBeVisible();
  await expect(page.locator('h1')).toHaveText('Résultats');
  await expect(async () => {
    await page.reload();
    await expect(page.locator('[data-figure=fill]')).toContainText(/1 sur 1/, { timeout: 3000 });
  }).toPass({ timeout: 60_000 });
  await expect(page.locator('[data-figure=fill] strong')).toHaveText(/100\s%/);
  expect(await count(page, '2')).toBeGreaterThanOrEqual(1); // freed; a winner may have freed another one
  expect(await count(page, '3')).toBe(1); // filled
  await expect(page.locator('[data-table=reach] tbody tr').first()).toBeVisible();
  // Each plot has a name and a description, and a table beside it that says the same.
  const plots = page.locator('main svg[role=img]');
  expect(await plots.count()).toBeGreaterThanOrEqual(6);
  for (const plot of await plots.all()) {
    expect((await plot.locator('title').textContent())?.length).toBeGreaterThan(2);
    expect((await plot.locator('desc').textContent())?.length).toBeGreaterThan(10);
  }
  await clean(page, 'insights-fr-light');

  const file = page.waitForEvent('download');
  await page.locator('[data-csv]').click();
  const taken = await file;
  expect(taken.suggestedFilename()).toMatch(/^insights-\d{4}-\d\d-\d\d-\d{4}-\d\d-\d\d\.csv$/);
  const csv = await (await import('node:fs/promises')).readFile(await taken.path(), 'utf8');
  expect(csv).toContain('period,,filled,1\r\n');

  // A practitioner without openings has none, and the address says what is shown.
  const names = page.locator('main form select').first();
  const values = await names.locator('option').evaluateAll((all) => all.map((o) => (o as HTMLOptionElement).value).filter(Boolean));
  let sum = 0;
  for (const value of values) {
    await names.selectOption(value);
    await page.locator('main form button[type=submit]').click();
    await expect(page).toHaveURL(new RegExp(`practitioner=${value}`));
    await expect(page.locator('main form button[type=submit]')).toBeEnabled();
    sum += await count(page, '3');
  }
  expect(sum).toBe(1);
  await names.selectOption('');
  await page.getByRole('button', { name: '90', exact: false }).click();
  await expect(page.locator('[data-table=steps] thead')).toContainText('Semaine du');

  await page.setViewportSize({ width: 360, height: 780 });
  await clean(page, 'insights-360');
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ media: 'print' });
  await expect(page.locator('main form')).toBeHidden();
  await shot(page, 'insights-print');
});

test('the page in English and in the dark', async ({ open }) => {
  const page = await insights(open, '', { colorScheme: 'dark' }, 'en');
  await expect(page.locator('h1')).toHaveText('Insights');
  await expect(page.locator('[data-figure=fill] dt')).toHaveText('Slots filled');
  await clean(page, 'insights-en-dark');
});
