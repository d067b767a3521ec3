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
