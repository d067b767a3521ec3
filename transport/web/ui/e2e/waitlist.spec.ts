// The waitlist as a tool of the front desk: people are found, edited, snoozed, archived, answered for, merged,
// imported and exported; of two clerks at one record the later one is told. In both languages and themes.
import { readFileSync } from 'node:fs';
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, shot, test } from './relais';

async function clean(page: Page, what: string, part: string) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .include(part)
    .analyze();
  expect(
    violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`),
    what,
  ).toEqual([]);
  await shot(page, what);
}

const people = (page: Page) => page.locator('[data-person]');

async function list(page: Page) {
  await page.locator('#tab-waitlist').click();
  await expect(people(page).first()).toBeVisible();
}

/** Imports lines below French headings; returns the dialog with what they would do. */
async function look(page: Page, ...lines: string[]) {
  await page.locator('[data-import]').click();
  const dialog = page.locator('dialog[open]');
  const text = ['dossier;nom;prénom;naissance;langue;téléphone;canaux;preuve;spécialité;priorité', ...lines].join('\r\n');
  await dialog.locator('input[type=file]').setInputFiles({ name: 'liste.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
  await expect(dialog.locator('[data-summary]')).toBeVisible();
  return dialog;
}

/** A person of this test's own, so that the tests do not depend on each other. */
async function known(page: Page, source: string, family: string, born = '1951-04-12') {
  const specialty = await page.evaluate(async () => {
    const me = (await (await fetch('/api/v1/me')).json()) as { clinics: { id: string; practitioners: { specialty: string }[] }[] };
    const id = new URLSearchParams(location.search).get('clinic');
    return me.clinics.find((c) => c.id === id)?.practitioners[0]?.specialty ?? '';
  });
  const dialog = await look(page, `${source};${family};Odette;${born};fr;418 555-0177;sms;formulaire;${specialty};1`);
  await expect(dialog.locator('[data-does=new]')).toHaveCount(1);
  await dialog.locator('[data-go]').click();
  await expect(dialog.locator('[data-summary]')).toContainText(/terminé|done/);
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  return specialty;
}

async function find(page: Page, name: string, count = 1) {
  await page.locator('#person-search').fill(name);
  await expect(people(page)).toHaveCount(count);
}

test('two clerks at one record: the later one is told, and decides', async ({ open }) => {
  const anne = await open('/');
  await list(anne);
  await known(anne, 'Patient/conflit', 'Conflit');
  const berthe = await open('/');
  await list(berthe);
  for (const p of [anne, berthe]) {
    await find(p, 'conflit');
    await people(p).first().click();
    await p.locator('[data-edit-person]').click();
  }
  await anne.locator('[data-identity] input[name=given]').fill('Odile');
  await anne.locator('[data-identity] button.primary').click();
  await expect(anne.locator('.person h2')).toHaveText('Odile Conflit');

  await berthe.locator('[data-identity] input[name=family]').fill('Conflit-Roy');
  await berthe.locator('[data-identity] button.primary').click();
  const conflict = berthe.locator('[data-conflict]');
  await expect(conflict).toContainText('Modifié par accueil à');
  await expect(conflict).toContainText('Odile');
  await expect(conflict).not.toContainText('Conflit-Roy'); // the other did not touch it
  await clean(berthe, 'waitlist-conflict', '.panel');
  await conflict.locator('[data-reapply]').click();
  await expect(berthe.locator('.person h2')).toHaveText('Odile Conflit-Roy');

  // The wish of an entry: theirs is taken, and nothing of it is written over.
  await anne.reload();
  await expect(anne.locator('.person h2')).toHaveText('Odile Conflit-Roy');
  for (const p of [anne, berthe]) await p.locator('[data-entry-edit]').click();
  await anne.locator('[data-wish] select[name=class]').selectOption('4');
  await anne.locator('[data-wish] button.primary').click();
  await expect(anne.locator('[data-entry]')).toContainText('priorité 4');
  await berthe.locator('[data-wish] input[name=notice]').fill('90');
  await berthe.locator('[data-wish] button.primary').click();
  await expect(conflict).toContainText('Priorité');
  await conflict.locator('[data-take]').click();
  await expect(berthe.locator('[data-wish] select[name=class]')).toHaveValue('4');
  await expect(berthe.locator('[data-wish] input[name=notice]')).toHaveValue('0');

  // A press on something older does nothing, and shows how it is.
  await berthe.locator('[data-wish] .actions .btn').last().click();
  await anne.locator('[data-entry-snooze]').click();
  await anne.locator('[data-entry] form button.primary').click();
  await expect(anne.locator('[data-entry]')).toHaveAttribute('data-status', 'snoozed');
  await berthe.locator('[data-entry-archive]').click();
  await berthe.locator('[data-archive-go]').click();
  await expect(berthe.locator('[data-entry-error]')).toContainText('Modifié par accueil');
  await expect(berthe.locator('[data-entry]')).toHaveAttribute('data-status', 'snoozed');
});

test('an entry is snoozed, archived and brought back; notes and proxies are kept', async ({ open, relais }) => {
  const page = await open('/');
  await list(page);
  await known(page, 'Patient/fiche', 'Fiche');
  await find(page, 'fiche');
  await people(page).first().click();
  const entry = page.locator('[data-entry]');
  await page.locator('[data-entry-snooze]').click();
  await page.locator('[data-entry] form button.primary').click();
  await expect(entry).toContainText('en pause jusqu’au');
  await page.locator('[data-entry-wake]').click();
  await expect(entry).toHaveAttribute('data-status', 'waiting');
  await page.locator('[data-entry-archive]').click();
  await page.locator('[data-archive-go]').click();
  await expect(entry).toHaveAttribute('data-status', 'left');
  await page.locator('[data-entry-restore]').click();
  await expect(entry).toHaveAttribute('data-status', 'waiting');

  await page.locator('textarea[name=note]').fill('Sonnette en panne');
  await page.locator('section:has(#notes-title) form .btn').click();
  await expect(page.locator('[data-note]')).toContainText('Sonnette en panne');

  await page.locator('[data-proxy-new]').click();
  await page.locator('input[name=proxy-name]').fill('Luc Fiche');
  await page.locator('input[name=proxy-relation]').fill('fils');
  await page.locator('[data-proxy-form] button.primary').click();
  const proxy = page.locator('[data-proxy]');
  await expect(proxy).toContainText('ne reçoit pas les offres');
  await expect(proxy.locator('[data-proxy-choose]')).toHaveCount(0); // nothing reaches him yet
  await proxy.locator('[data-proxy-contact]').click();
  await page.locator('#contact-new input[type=tel]').fill('418 555-0178');
  await page.locator('#contact-new input[aria-describedby=contact-proof]').fill('de vive voix');
  await page.locator('#contact-new button.primary').click();
  await proxy.locator('[data-proxy-choose]').click();
  await expect(proxy).toContainText('reçoit les offres');
  await expect(page.locator('[data-contact]').last()).toContainText('Luc Fiche');
  await expect(page.locator('section:has(#changes-title)')).toContainText('Les offres vont au proche');
  await clean(page, 'waitlist-record', '.panel');
  await page.setViewportSize({ width: 360, height: 780 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await shot(page, 'waitlist-record-360');
  await page.setViewportSize({ width: 1600, height: 950 });

  await page.locator('.person .back').click();
  await expect(page.locator('#person-search')).toHaveValue('fiche'); // where the person was
  await expect(people(page)).toContainText('répond : Luc Fiche'.replace(' :', '\u00a0:'));
  const log = await fetch(relais.ready.metrics_url).then((r) => r.text());
  expect(log).not.toContain('Fiche');
});

test('a list is imported after a look, and only once; duplicates are merged; the export is safe', async ({ open }) => {
  const page = await open('/');
  await list(page);
  const specialty = await known(page, 'Patient/double-1', 'Double', '1949-09-09');
  const dialog = await look(
    page,
    `Patient/double-2;Double;Odéte;;fr;418 555-0177;sms;formulaire;${specialty};2`,
    `Patient/double-3;Double;Odette;1949-09-09;fr;;;;${specialty};2`,
    `Patient/double-4;"=1+1";Zoé;;fr;;;;${specialty};2`,
    `Patient/double-5;Sans;Date;49-09-09;fr;;;;${specialty};2`,
    `Patient/double-6;Autre;Rien;;fr;12;sms;formulaire;astrologie;2`,
  );
  await expect(dialog.locator('[data-does=new]')).toHaveCount(2);
  await expect(dialog.locator('[data-does=duplicate]')).toContainText('Odette Double');
  await expect(dialog.locator('[data-line="5"]')).toContainText('naissance ne se lit pas');
  await expect(dialog.locator('[data-line="6"]')).toContainText('spécialité sans correspondance à la clinique');
  await clean(page, 'waitlist-import', 'dialog[open]');
  await dialog.locator('[data-go]').click();
  await expect(dialog.locator('[data-summary]')).toContainText('Import terminé');
  await page.keyboard.press('Escape');
  const again = await look(page, `Patient/double-2;Double;Odéte;;fr;418 555-0177;sms;formulaire;${specialty};2`);
  await expect(again.locator('[data-does=same]')).toHaveCount(1);
  await page.keyboard.press('Escape');

  // Odette and Odéte share a telephone with others: they are shown as perhaps relatives.
  await page.locator('[data-duplicates]').click();
  const pair = page.locator('[data-pair]').filter({ hasText: 'Odéte Double' }).filter({ hasText: 'Odette Double' });
  await expect(pair).toHaveCount(1);
  await clean(page, 'waitlist-duplicates', 'dialog[open]');
  await pair.locator('[data-keep]').first().click();
  await expect(page.locator('[data-preview]')).toContainText('Gardés des deux');
  await clean(page, 'waitlist-merge', 'dialog[open]');
  await page.locator('[data-merge]').click();
  await expect(page.locator('.notices')).toContainText('Fiches fusionnées');
  await expect(pair).toHaveCount(0);
  await page.keyboard.press('Escape');
  await find(page, 'te double');
  await people(page).first().click();
  await expect(page.locator('.person')).toContainText('1 fiche fusionnée'.replace('1 ', '1\u00a0'));
  await expect(page.locator('section:has(#changes-title)')).toContainText('fusionnée dans celle-ci');
  await page.locator('.person .back').click();

  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('[data-export]').click()]);
  const file = readFileSync(await download.path(), 'utf8');
  expect(file.startsWith('\ufeffdossier;nom;')).toBe(true);
  expect(file).toContain("'=1+1");
  expect(file.split(/[;\r\n]+/).filter((cell) => /^[=+@-]/.test(cell))).toEqual([]);
});

for (const theme of ['light', 'dark'] as const) {
  for (const lang of ['fr', 'en'] as const) {
    test(`waitlist, ${theme}, ${lang}`, async ({ open }) => {
      const page = await open('/', { colorScheme: theme }, lang);
      await list(page);
      await clean(page, `waitlist-${theme}-${lang}`, '.panel');
      await page.locator('[data-among]').selectOption('');
      await people(page).first().click();
      await expect(page.locator('#entries-title')).toBeVisible();
      await clean(page, `waitlist-person-${theme}-${lang}`, '.panel');
      await page.locator('[data-edit-person]').click();
      const edit = page.locator('[data-entry-edit]');
      if ((await edit.count()) > 0) await edit.first().click();
      await page.locator('[data-proxy-new]').click();
      await clean(page, `waitlist-edit-${theme}-${lang}`, '.panel');
      await page.keyboard.press('Escape');
      await page.locator('[data-import]').click();
      await clean(page, `waitlist-import-${theme}-${lang}`, 'dialog[open]');
    });
  }
}
