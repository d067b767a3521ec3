// What a person at the front desk does about people: replies that nobody could read, contacts that do
// not work, why somebody was not asked, and what patients are told. In both languages and themes.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { cancel, cards, expect, shot, test } from './relais';

async function clean(page: Page, what: string, part: string) {
  // A frame that runs nothing cannot be looked into: axe would wait for it for ever.
  const { violations } = await new AxeBuilder({ page })
    .exclude('iframe')
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .include(part)
    .analyze();
  expect(
    violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`),
    what,
  ).toEqual([]);
  await shot(page, what);
}

/** Has somebody who holds an offer by SMS write a text; returns the thread. */
async function write(base: string, thread: string, text: string) {
  const res = await fetch(`${base}/sandbox/api/threads/${encodeURIComponent(thread)}/text`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ Text: text }),
  });
  expect(res.status, await res.text()).toBeLessThan(300);
}

test('replies to read and contacts to correct', async ({ open, relais }) => {
  const demo = await open('/demo');
  await cancel(demo, 2);
  await expect(cards(demo, 'offered')).toHaveCount(1, { timeout: 60_000 });
  const texts = async () => (await relais.sent()).filter((i) => i.kind === 'sms').map((i) => i.thread);
  await expect(async () => {
    if (new Set(await texts()).size < 2) {
      await cards(demo, 'offered').first().click();
      await demo.locator('[data-action=send_now]').click({ timeout: 2000 });
    }
    expect(new Set(await texts()).size).toBeGreaterThanOrEqual(2);
  }).toPass({ timeout: 60_000 });
  const [first, second] = [...new Set(await texts())] as [string, string];
  await write(relais.ready.url, first, 'Peut-être, c’est à quel étage?');
  await write(relais.ready.url, second, 'STOP');

  const clinic = new URL(demo.url()).searchParams.get('clinic') ?? '';
  const desk = await open(`/?clinic=${clinic}`);
  const reply = desk.locator('[data-unread]');
  await expect(reply).toHaveCount(1, { timeout: 40_000 });
  await expect(desk.locator('[data-broken]')).toHaveCount(1);
  await expect(desk.locator('[data-badge]')).toContainText('2');
  await clean(desk, 'desk-queue-people', '.panel');

  // By keyboard: the reply opens, has an address of its own, and is answered.
  await reply.focus();
  await desk.keyboard.press('Enter');
  await expect(desk).toHaveURL(/#unread=/);
  await expect(desk.locator('.bubble')).toContainText('Peut-être');
  const note = desk.locator('.unread textarea');
  await note.fill('Vos résultats sont au 2e étage. '.repeat(6));
  await expect(desk.locator('#note-check')).toContainText('deux SMS');
  await expect(desk.locator('#note-check')).toContainText('résultats');
  await clean(desk, 'desk-unread', '.panel');
  await note.fill('C’est au deuxième étage. Répondez OUI pour la place.');
  await expect(desk.locator('#note-check')).toContainText('1\u00a0SMS');
  await desk.setViewportSize({ width: 360, height: 780 });
  await shot(desk, 'desk-unread-360');
  expect(await desk.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await desk.setViewportSize({ width: 1280, height: 900 });
  await shot(desk, 'desk-unread-1280');
  await desk.locator('.unread button.primary').click();
  await expect(desk.locator('.notices')).toContainText('Message traité');
  await expect(reply).toHaveCount(0);
  await expect
    .poll(async () => (await relais.sent()).filter((i) => i.thread === first).map((i) => i.text).join('\n'))
    .toContain("C'est au deuxième étage.");

  // A contact that opted out: seen with its reason, a second one is added, the first is archived.
  await desk.locator('[data-broken]').click();
  await expect(desk).toHaveURL(/#person=/);
  const link = desk.url();
  const contact = desk.locator('[data-contact]').filter({ hasText: 'désabonné' }).first();
  await expect(contact).toBeVisible();
  await clean(desk, 'desk-person', '.panel');
  await desk.setViewportSize({ width: 360, height: 780 });
  await shot(desk, 'desk-person-360');
  expect(await desk.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await desk.setViewportSize({ width: 1280, height: 900 });
  const before = await desk.locator('[data-contact]').count();
  await desk.locator('section:has(#contacts-title) > .btn').click();
  await desk.locator('.person select').selectOption('email');
  await desk.locator('.person input[type=email]').fill('nouvelle@example.org');
  await desk.locator('.person input[aria-describedby=contact-proof]').fill('de vive voix');
  await clean(desk, 'desk-person-edit', '.panel');
  await desk.locator('.person form button.primary').click();
  await expect(desk.locator('[data-contact]')).toHaveCount(before + 1);
  await expect(desk.locator('[data-contact]').last()).toContainText('nouvelle@example.org');
  await expect(desk.locator('[data-contact]').last()).toContainText('utilisable');
  for (let left = 12; left > 0; left--) {
    const bad = desk.locator('[data-contact]').filter({ hasText: 'désabonné' }).locator('[data-archive]');
    if ((await bad.count()) === 0) break;
    const n = await bad.count();
    await bad.first().click();
    await desk.locator('.person .btn.danger').click();
    await expect(bad).toHaveCount(n - 1);
  }
  await desk.keyboard.press('Escape');
  await expect(desk.locator('[data-broken]')).toHaveCount(0);

  // The address opens the same record in another window, and shows what was done.
  const again = await open(link.slice(relais.ready.url.length));
  await expect(again.locator('[data-contact]')).toHaveCount(before + 1);
  await expect(again.locator('#changes-title')).toBeVisible();
});

test('anybody is looked up, and it says why they are asked or not', async ({ open, relais }) => {
  const demo = await open('/demo');
  const { time } = await cancel(demo, 9);
  const clinic = new URL(demo.url()).searchParams.get('clinic') ?? '';
  const desk = await open(`/?clinic=${clinic}`);
  expect(time).not.toBe('');
  const row = desk.locator('.s-offered [data-queue]').first();
  await expect(row).toBeVisible({ timeout: 60_000 });
  await row.click();
  await expect(desk.locator('[data-delivery]').first()).toBeVisible();
  const name = (await desk.locator('.detail .name').first().innerText()).trim();
  await desk.locator('.detail summary').first().click();
  await desk.locator('[data-why]').fill(name);
  await expect(desk.locator('details[open] li').first()).toContainText('déjà demandé pour cette plage');
  await clean(desk, 'desk-why', '.panel');
  expect((await relais.threads()).length).toBeGreaterThan(0);
});

for (const theme of ['light', 'dark'] as const) {
  for (const lang of ['fr', 'en'] as const) {
    test(`messages, ${theme}, ${lang}`, async ({ open }) => {
      const desk = await open('/', { colorScheme: theme }, lang);
      await desk.locator('[data-messages]').click();
      const dialog = desk.locator('dialog[open]');
      await expect.poll(() => dialog.locator('[data-message]').count()).toBeGreaterThan(35);
      await expect(desk).toHaveURL(/#messages/);
      const offer = dialog.locator(`[data-message="offer ${lang} sms"]`);
      await expect(offer).toContainText(lang === 'fr' ? 'Répondez OUI ou NON' : 'Reply 1 to take it');
      await expect(offer).toContainText('1\u00a0SMS'.replace('\u00a0', lang === 'fr' ? '\u00a0' : ' '));
      const mail = dialog.frameLocator(`[data-message="offer ${lang} email"] iframe`);
      await expect(mail.locator('h1')).toHaveText(lang === 'fr' ? 'Une place se libère' : 'An appointment opened up');
      await desk.setViewportSize({ width: 1280, height: 900 });
      await clean(desk, `desk-messages-${theme}-${lang}`, 'dialog[open]');
      await dialog.getByRole('button', { name: lang === 'fr' ? 'Anglais' : 'French' }).click();
      await expect(dialog.locator(`[data-message="offer ${lang === 'fr' ? 'en' : 'fr'} sms"]`)).toBeVisible();
      await desk.setViewportSize({ width: 360, height: 780 });
      await shot(desk, `desk-messages-360-${theme}-${lang}`);
      expect(await dialog.evaluate((d) => d.scrollWidth <= d.clientWidth)).toBe(true);
      await desk.keyboard.press('Escape');
      await expect(dialog).toHaveCount(0);
      await expect.poll(() => new URL(desk.url()).hash).toBe('');
    });
  }
}
