// The patients' pages as they are on an old phone: 360 px wide, no JavaScript, light and dark, in both
// languages; and the whole way from the public link to the front desk's queue and somebody's own page.
import AxeBuilder from '@axe-core/playwright';
import type { Browser, Page } from '@playwright/test';
import { expect, shot, test, type Relais } from './relais';

const phone = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 };

/** axe needs scripts in the page it looks at, so it gets the same page once more, with them on. */
async function clean(browser: Browser, page: Page, what: string, scheme: 'light' | 'dark') {
  const html = await page.content();
  expect(await page.evaluate(() => document.documentElement.scrollWidth).catch(() => 360), `${what} scrolls sideways`).toBeLessThanOrEqual(360);
  await shot(page, what);
  const context = await browser.newContext({ ...phone, colorScheme: scheme, bypassCSP: true });
  const copy = await context.newPage();
  await copy.setContent(html);
  const { violations } = await new AxeBuilder({ page: copy }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
  expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`), what).toEqual([]);
  await context.close();
}

/** What a telephone or mailbox of the wall was sent last, as text. */
async function last(relais: Relais, address: string, has: RegExp): Promise<string> {
  let text = '';
  await expect
    .poll(
      async () => {
        const res = await fetch(`${relais.ready.url}/sandbox/api/state`);
        const { threads } = (await res.json()) as { threads: { phone?: string; email?: string; items: { mine: boolean; text: string }[] | null }[] };
        const items = threads.find((t) => t.phone === address || t.email === address)?.items ?? [];
        text = items.filter((i) => !i.mine && has.test(i.text)).at(-1)?.text ?? '';
        return text;
      },
      { timeout: 30_000 },
    )
    .not.toBe('');
  return text;
}

let n = 0;
for (const scheme of ['light', 'dark'] as const) {
  for (const lang of ['fr', 'en'] as const) {
    test(`joining, and a page of one's own, ${scheme}, ${lang}`, async ({ browser, open, relais }) => {
      const number = `514 555-01${70 + ++n}`;
      const e164 = `+151455501${70 + n}`;
      const name = (what: string) => `patient-${what}-${scheme}-${lang}`;
      const context = await browser.newContext({ ...phone, colorScheme: scheme, javaScriptEnabled: false });
      const page = await context.newPage();
      const requests: string[] = [];
      page.on('request', (r) => requests.push(r.url()));
      const res = await page.goto(`${relais.ready.url}/j/dermatologie?lang=${lang}`);
      expect(requests).toHaveLength(1);
      expect((await res!.body()).length).toBeLessThanOrEqual(30_000);
      await expect(page.locator('html')).toHaveAttribute('lang', `${lang}-CA`);
      await clean(browser, page, name('join'), scheme);

      await page.locator('#given').fill('Léontine');
      await page.locator('#family').fill(`Essai${n}`);
      await page.locator('#phone').fill(`12${n}`); // three forms a contact are taken, also of one that is none
      await page.locator('input[name=at][value="2-0"]').check();
      await page.locator('input[name=consent]').check();
      await page.locator('button.yes').click();
      await expect(page.getByRole('alert')).toBeVisible();
      await expect(page.locator('#family')).toHaveValue(`Essai${n}`);
      await clean(browser, page, name('join-bad'), scheme);
      await page.locator('#phone').fill(number);
      await page.locator('input[name=consent]').check();
      await page.locator('button.yes').click();
      await expect(page.locator('#code')).toBeVisible();
      await clean(browser, page, name('code'), scheme);
      const code = /\b\d{6}\b/.exec(await last(relais, e164, /\b\d{6}\b/))![0];
      await page.locator('#code').fill(code === '111111' ? '222222' : '111111');
      await page.locator('button.yes').click();
      await expect(page.getByRole('alert')).toBeVisible();
      await page.locator('#code').fill(code);
      await page.locator('button.yes').click();
      await expect(page.locator('h1')).toHaveText(lang === 'fr' ? 'C’est confirmé, merci' : 'Confirmed, thank you');
      await clean(browser, page, name('joined'), scheme);

      const link = /https?:\/\/\S+\/p\/\S+/.exec(await last(relais, e164, /\/p\//))![0];
      await page.goto(`${link}?lang=${lang}`);
      await expect(page.locator('h1')).toHaveText(lang === 'fr' ? 'Votre inscription' : 'Your place on the list');
      await expect(page.locator('main')).not.toContainText('Essai');
      await clean(browser, page, name('own'), scheme);
      await page.locator('details summary').first().click();
      await expect(page.locator('input[name=at][value="2-0"]')).toBeChecked();
      await page.locator('input[name=at][value="3-1"]').check();
      await clean(browser, page, name('own-wish'), scheme);
      await page.locator('form[action*="/wish"] button.yes').click();
      await expect(page.getByRole('status')).toBeVisible();

      // The front desk links them; then they wait like everybody.
      const desk = await open('/?clinic=dermatologie', {}, lang);
      const joined = desk.locator('[data-joining]', { hasText: `Essai${n}` });
      await expect(joined).toBeVisible({ timeout: 60_000 });
      if (n === 1) await shot(desk, name('desk-joining'));
      await joined.locator('input').fill(`Patient/essai-${n}`);
      await joined.locator('button.primary').click();
      await expect(joined).toHaveCount(0);
      await page.goto(`${link}?lang=${lang}`);
      await expect(page.locator('main')).toContainText(lang === 'fr' ? 'Vous êtes sur la liste depuis' : 'You have been on the list since');
      await clean(browser, page, name('own-waiting'), scheme);
      const soon = new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10);
      await page.locator('#until').fill(soon);
      await page.locator('form[action*="/snooze"] button').click();
      await expect(page.getByRole('status')).toBeVisible();
      await page.locator('form[action*="/wake"] button').click();
      await expect(page.getByRole('status')).toBeVisible();
      await page.locator('section:last-of-type summary').click();
      await page.locator('section:last-of-type form[action*="/withdraw"] button').click();
      await expect(page.locator('h1')).toHaveText(lang === 'fr' ? 'C’est fait' : 'Done');
      expect((await page.goto(link))!.status()).toBe(404);

      await page.goto(`${relais.ready.url}/j/dermatologie/poster?lang=${lang}`);
      await expect(page.locator('.qr svg')).toBeVisible();
      await clean(browser, page, name('poster'), scheme);
      await page.goto(`${relais.ready.url}/j/dermatologie/link?lang=${lang}`);
      await clean(browser, page, name('link'), scheme);
      await context.close();
    });
  }
}
