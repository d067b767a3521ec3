// Takes the pictures of docs/pictures from the real program: the demo, the front desk, a patient's page.
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { cancel, cards, expect, test } from '../e2e/relais';

const save = (page: Page, name: string) =>
  page.screenshot({ path: fileURLToPath(new URL(`../../../../docs/pictures/${name}.png`, import.meta.url)) });

test('pictures', async ({ browser, open, relais }) => {
  const demo = await open('/demo');
  for (const n of [0, 4, 8, 14]) await cancel(demo, n);
  await expect(cards(demo, 'offered')).toHaveCount(4, { timeout: 60_000 });
  const phone = demo.locator('[data-thread]:has([data-kind=sms] .bubble)').first();
  await phone.locator('[data-reply]').first().click();
  await expect(cards(demo, 'confirmed')).toHaveCount(1);
  await expect(phone.locator('.bubble').last()).toContainText(/confirm/i);
  await demo.locator('#demo-dme').evaluate((e) => e.scrollTo(0, 0));
  await demo.locator('#demo-phones').evaluate((e) => e.scrollTo(0, 0));
  await save(demo, 'demo');

  const desk = await open(`/${new URL(demo.url()).search}`);
  await cards(desk, 'offered').first().click();
  await expect(desk.locator('[data-delivery]').first()).toBeVisible();
  await save(desk, 'desk');

  const link = (await relais.sent()).flatMap((i) => i.links ?? []).find((l) => /\/o\/[^/]+$/.test(l));
  const patient = await browser.newPage({ viewport: { width: 390, height: 780 }, deviceScaleFactor: 2 });
  await patient.goto(link ?? '');
  await expect(patient.locator('button').first()).toBeVisible();
  await save(patient, 'patient');
  await patient.close();
});

test('the waitlist', async ({ open }) => {
  const desk = await open('/', { viewport: { width: 1280, height: 800 } });
  await desk.locator('#tab-waitlist').click();
  await desk.locator('[data-person]').first().click();
  await desk.locator('[data-proxy-new]').scrollIntoViewIfNeeded();
  await desk.locator('.content').evaluate((e) => e.scrollTo(0, 0));
  await save(desk, 'waitlist');

  // Two clerks at one record: the later one sees what the first changed.
  await desk.locator('[data-edit-person]').click();
  const other = await open(`/${new URL(desk.url()).search}${new URL(desk.url()).hash}`);
  await other.locator('[data-edit-person]').click();
  await other.locator('[data-identity] input[name=born]').fill('1947-06-18');
  await other.locator('[data-identity] button.primary').click();
  await expect(other.locator('[data-identity]')).toHaveCount(0);
  await desk.locator('[data-identity] input[name=given]').fill('Marie-Noémie');
  await desk.locator('[data-identity] button.primary').click();
  await expect(desk.locator('[data-conflict]')).toBeVisible();
  await save(desk, 'conflict');
  await other.close();

  await desk.locator('#tab-waitlist').click();
  await desk.locator('[data-import]').click();
  const dialog = desk.locator('dialog[open]');
  const lines = [
    'dossier;nom;prénom;naissance;téléphone;canaux;preuve;spécialité;priorité',
    'Patient/9001;Vaillancourt;Réjeanne;1941-02-11;418 555-0181;appel;formulaire 2026-11-02;dermatology;1',
    'Patient/9002;Ouellet;Noël;11/02/1950;418 555-0182;sms;formulaire 2026-11-02;dermatology;2',
    'Patient/9003;Dubé;Inès;1988-07-30;555-01;sms;formulaire 2026-11-02;dermatology;2',
    'Patient/9004;Girard;Hugo;1990-05-04;418 555-0184;sms;;dermatology;2',
  ];
  await dialog.locator('input[type=file]').setInputFiles({ name: 'liste.csv', mimeType: 'text/csv', buffer: Buffer.from(lines.join('\n')) });
  await expect(dialog.locator('[data-summary]')).toBeVisible();
  await save(desk, 'import');

  const dark = await open(`/${new URL(desk.url()).search}`, { colorScheme: 'dark', viewport: { width: 1280, height: 800 } }, 'en');
  await dark.locator('#calendar').focus();
  await dark.keyboard.press('2');
  await expect(dark.locator('.grid [data-slot]').first()).toBeVisible();
  await save(dark, 'week');
});
