// Every page in both languages and both themes: no accessibility violation, and a picture to
// look at, because axe does not see clipped text.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { cancel, cards, expect, shot, test } from './relais';

/** No violation on the page, or in the part of it that is new since the last look. */
async function clean(page: Page, what: string, part?: string) {
  const axe = new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']);
  const { violations } = await (part ? axe.include(part) : axe).analyze();
  expect(
    violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`),
    what,
  ).toEqual([]);
  await shot(page, what);
}

for (const theme of ['light', 'dark'] as const) {
  for (const lang of ['fr', 'en'] as const) {
    test(`pages, ${theme}, ${lang}`, async ({ browser, open, relais }) => {
      const options = { colorScheme: theme };
      const name = (what: string) => `${what}-${theme}-${lang}`;

      const context = await browser.newContext(options);
      await context.addInitScript((l) => localStorage.setItem('relais.lang', l), lang);
      const out = await context.newPage();
      await out.goto(relais.ready.url);
      await expect(out.locator('input[name=account]')).toBeVisible();
      await expect(out.locator('html')).toHaveAttribute('lang', `${lang}-CA`);
      await clean(out, name('sign-in'));
      await context.close();

      const demo = await open('/demo', options, lang);
      if ((await relais.sent()).length === 0) {
        await cancel(demo, 3);
        await cancel(demo, 7);
        await expect(cards(demo, 'offered')).toHaveCount(2, { timeout: 60_000 });
      }
      const day = demo.locator('#demo-dme .two select').first();
      await day.selectOption({ index: 1 });
      await expect(cards(demo, 'offered', 'confirmed', 'freed', 'expired').first()).toBeVisible();
      await expect(demo.locator('[data-thread]').first()).toBeVisible();
      await clean(demo, name('demo'));
      await demo.setViewportSize({ width: 390, height: 844 });
      await clean(demo, name('demo-narrow'));
      await demo.locator('#demo-tab-phones').click();
      await clean(demo, name('demo-narrow-phones'), '#demo-phones');
      await demo.locator('#demo-tab-dme').click();
      await clean(demo, name('demo-narrow-dme'), '#demo-dme');

      const desk = await open(`/?day=${new URL(demo.url()).searchParams.get('day') ?? ''}`, options, lang);
      await expect(desk.locator('.grid [data-slot]').first()).toBeVisible();
      await clean(desk, name('desk-day'));
      await desk.locator('[data-queue]').first().click();
      await expect(desk.locator('#timeline-title')).toBeVisible();
      await clean(desk, name('desk-detail'), '.panel');
      await desk.keyboard.press('b');
      await expect(desk.locator('.confirm')).toBeVisible();
      await clean(desk, name('desk-book'), '.panel');
      await desk.keyboard.press('Escape');
      await desk.keyboard.press('2');
      await clean(desk, name('desk-week'));
      await desk.keyboard.press('3');
      await clean(desk, name('desk-list'));
      await desk.locator('#tab-waitlist').click();
      await expect(desk.locator('#panel-body li').first()).toBeVisible();
      await clean(desk, name('desk-waitlist'), '.panel');
      await desk.locator('#calendar').focus();
      await desk.keyboard.press('n');
      await expect(desk.locator('#enrol-title')).toBeVisible();
      await clean(desk, name('desk-enrol'), '.panel');
      await desk.keyboard.press('Escape');
      await desk.locator('.dme').first().click();
      await expect(desk.locator('dialog[open]')).toBeVisible();
      await clean(desk, name('desk-health'), 'dialog[open]');
      await desk.keyboard.press('Escape');
      await desk.locator('#calendar').focus();
      await desk.keyboard.press('?');
      await expect(desk.locator('dialog[open]')).toBeVisible();
      await clean(desk, name('desk-help'), 'dialog[open]');
    });
  }
}

test('the calendar is walked with the keyboard', async ({ open }) => {
  const desk = await open('/');
  await desk.keyboard.press('2');
  const stops = desk.locator('.grid [data-slot][tabindex="0"]');
  await expect(stops).toHaveCount(1);
  await stops.focus();
  const at = () => desk.evaluate(() => (document.activeElement as HTMLElement).dataset.slot ?? '');
  const start = await at();
  await desk.keyboard.press('ArrowDown');
  const below = await at();
  expect(below).not.toBe(start);
  await desk.keyboard.press('ArrowRight');
  expect(await at()).not.toBe(below);
  await desk.keyboard.press('Home');
  const first = await at();
  await desk.keyboard.press('End');
  expect(await at()).not.toBe(first);
  const last = await at();
  await expect(stops).toHaveCount(1);
  await desk.keyboard.press('Enter');
  await expect(desk.locator('.detail h2')).toBeVisible();
  await desk.keyboard.press('Escape');
  await expect(desk.locator('.detail')).toBeHidden();
  expect(await at()).toBe(last);

  // Single letters can be switched off.
  await desk.keyboard.press('?');
  await desk.locator('dialog[open] input[type=checkbox]:not([data-sound])').uncheck();
  await desk.keyboard.press('Escape');
  await desk.keyboard.press('3');
  await expect(desk.locator('.grid')).toBeVisible();
});

test('a person joins the waitlist and is found there', async ({ open }) => {
  const desk = await open('/');
  await desk.locator('#tab-waitlist').click();
  await desk.locator('[data-add]').click();
  const form = desk.locator('form');
  const field = (label: string) => form.getByLabel(label, { exact: false }).first();
  await field('Prénom').fill('Zénaïde');
  await form.locator('input[maxlength="100"]').nth(1).fill('Essai');
  await field('Téléphone').fill('418 555-0199');
  await form.getByLabel('SMS').check();
  await field('Preuve du consentement').fill('essai');
  await field('Référence dans le DME').fill(`Patient/essai-${Date.now()}`);
  await form.locator('button.primary').click();
  await expect(desk.locator('.notices')).toContainText('Zénaïde');
  await desk.locator('#person-search').fill('zénaïde');
  await expect(desk.locator('#panel-body li')).toHaveCount(1);
});
