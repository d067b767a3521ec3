// One cancellation, end to end, as two people at the front desk see it, with the patients'
// phones and the record system at the far end.
import { cancel, cards, expect, shot, test } from './relais';

test.describe.configure({ mode: 'serial' });

test('a cancelled appointment is offered, taken by the first yes and shown everywhere', async ({ open, relais }) => {
  const demo = await open('/demo');
  const desk = await open('/');
  const phones = demo.locator('#demo-phones');
  await shot(demo, 'demo-start');

  const { appointment } = await cancel(demo, 4);
  const day = new URL(demo.url()).searchParams.get('day') ?? '';
  const clinic = new URL(demo.url()).searchParams.get('clinic') ?? '';
  await desk.locator('input[type=date]').fill(day);

  // Both browsers show the opening without a reload; the phones get it.
  for (const page of [demo, desk]) await expect(cards(page, 'freed', 'offered')).toHaveCount(1);
  for (const page of [demo, desk]) await expect(cards(page, 'offered')).toHaveCount(1);
  const slot = (await cards(desk, 'offered').getAttribute('data-slot')) ?? '';
  expect(slot).not.toBe('');
  await expect(desk.locator(`[data-queue="${slot}"]`)).toBeVisible();
  await expect(cards(desk, 'offered').locator('.timer')).toHaveText(/\d:\d\d|\d+ h \d\d/);
  await shot(demo, 'demo-offered');

  // Ask more people until two of them have it by SMS, with the front desk's own button.
  await cards(desk, 'offered').click();
  await expect(desk).toHaveURL(new RegExp(`slot=${slot}`));
  const texts = phones.locator('[data-thread]:has([data-kind=sms] .bubble)');
  await expect(async () => {
    if ((await texts.count()) < 2) {
      await desk.locator('[data-action=send_now]').click();
      await expect(texts.nth(1)).toBeVisible({ timeout: 4000 });
    }
    expect(await texts.count()).toBeGreaterThanOrEqual(2);
  }).toPass({ timeout: 60_000 });
  await shot(desk, 'desk-offered-detail');
  const first = (await texts.nth(0).getAttribute('data-thread')) ?? '';
  const second = (await texts.nth(1).getAttribute('data-thread')) ?? '';
  const phone = (id: string) => phones.locator(`[data-thread="${id}"]`);
  const winner = await phone(first).locator('h3').innerText();

  // The first yes has it, in both browsers and in the record system.
  await phone(first).locator('.reply button').first().click();
  for (const page of [demo, desk]) {
    await expect(page.locator(`.grid [data-slot="${slot}"]`)).toHaveAttribute('data-state', 'confirmed');
    await expect(page.locator(`.grid [data-slot="${slot}"]`)).toContainText(winner.split(' ').at(-1) ?? '');
  }
  const booked = demo.locator(`[data-appointment="${appointment}"][data-status=booked][data-relais=yes]`);
  await expect(booked).toContainText(winner);
  await expect(phone(first).locator('[data-kind=sms]:not(.mine) .bubble', { hasText: /confirm/i })).toBeVisible();
  await expect(desk.locator('.detail')).toContainText(winner);
  await expect(desk.locator('.detail')).toContainText('La réservation est inscrite au DME.');

  // The second person is told, kindly, that it is taken and that the place on the list is kept. A yes of
  // theirs changes nothing here, but may be for the later appointment that the winner gave up.
  await phone(second).locator('.reply button').first().click();
  const kept = /vous gardez votre (rang|place)|you keep your place/i;
  const told = async () => (await relais.threads()).find((t) => t.id === second)?.items?.some((i) => !i.mine && kept.test(i.text));
  await expect.poll(told).toBe(true);
  await expect(phone(second).locator('.item.mine ~ .item .bubble').first()).toBeVisible();
  await expect(desk.locator(`.grid [data-slot="${slot}"]`)).toHaveAttribute('data-state', 'confirmed');
  await expect(desk.locator(`.grid [data-slot="${slot}"]`)).toContainText(winner.split(' ').at(-1) ?? '');
  await shot(demo, 'demo-confirmed');
  await shot(desk, 'desk-confirmed');
  expect(clinic).not.toBe('');
});

test('a broken record system stops everything, and its repair starts it again', async ({ open, relais }) => {
  const demo = await open('/demo');
  const desk = await open('/');
  const dme = demo.locator('#demo-dme');
  const suspended = (page: typeof desk) => page.locator('[data-banner=suspended]');

  await dme.locator('.fault select').selectOption('down');
  await dme.locator('.fault button').click();
  for (const page of [demo, desk]) await expect(suspended(page)).toBeVisible({ timeout: 60_000 });
  // This clinic, once, and no other.
  const clinic = new URL(demo.url()).searchParams.get('clinic') ?? '';
  const suspensions = async () => {
    const text = await (await fetch(relais.ready.metrics_url)).text();
    return text.split('\n').filter((l) => /^relais_(dme_status\{.*status="suspended"\}|suspensions_total\{.*\}) [^0]/.test(l));
  };
  expect(await suspensions()).toEqual([
    `relais_dme_status{clinic="${clinic}",status="suspended"} 1`,
    `relais_suspensions_total{clinic="${clinic}"} 1`,
  ]);
  const sentBefore = (await relais.sent()).length;

  // A cancellation that Relais cannot see yet, made while nothing may leave.
  await cancel(demo, 9);
  await shot(demo, 'demo-suspended');
  await shot(desk, 'desk-suspended');
  await desk.locator('[data-banner=suspended] button').click();
  await expect(desk.locator('[data-health=suspended]')).toBeVisible();
  await desk.locator('dialog[open] .actions button').first().click();
  await expect(desk.locator('dialog[open] [role=status]')).not.toBeEmpty();
  expect((await relais.sent()).length).toBe(sentBefore);

  const healed = Date.now();
  await desk.keyboard.press('Escape');
  await dme.locator('.fault button').click();
  for (const page of [demo, desk]) {
    await expect(suspended(page)).toBeHidden({ timeout: 60_000 });
    await expect(page.locator('[data-banner]')).toBeHidden({ timeout: 60_000 });
  }
  expect(await suspensions()).toEqual([`relais_suspensions_total{clinic="${clinic}"} 1`]);
  await expect(cards(demo, 'offered')).toHaveCount(1, { timeout: 60_000 });
  await expect(async () => expect((await relais.sent()).length).toBeGreaterThan(sentBefore)).toPass();
  const after = (await relais.sent()).slice(sentBefore);
  for (const item of after) expect(Date.parse(item.at)).toBeGreaterThanOrEqual(healed);
});

test('a patient confirms on an old phone, without JavaScript', async ({ browser, open, relais }) => {
  const demo = await open('/demo');
  const since = Date.now();
  const link = async () =>
    (await relais.sent())
      .filter((i) => i.kind === 'email' && Date.parse(i.at) >= since)
      .flatMap((i) => i.links ?? [])
      .find((l) => /\/o\//.test(l));
  await cancel(demo, 14);
  await expect(cards(demo, 'confirmed').first()).toBeVisible(); // of the first test
  const before = await cards(demo, 'confirmed').count();
  await expect(async () => {
    if ((await link()) === undefined) {
      // Ask the next people, until one of them reads mail.
      await cards(demo, 'offered').last().click();
      await demo.locator('[data-action=send_now]').click();
    }
    expect(await link()).toBeDefined();
  }).toPass({ timeout: 90_000, intervals: [3000] });

  const old = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  const page = await old.newPage();
  await page.goto((await link()) ?? '');
  const buttons = page.locator('button, input[type=submit]');
  await expect(buttons.first()).toBeVisible();
  const box = await buttons.first().boundingBox();
  expect(box?.height ?? 0).toBeGreaterThanOrEqual(48);
  expect(box?.width ?? 0).toBeGreaterThanOrEqual(280);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await shot(page, 'patient-offer');
  await buttons.first().click();
  await expect(page.locator('h1')).toBeVisible();
  await shot(page, 'patient-answer');
  await expect.poll(() => cards(demo, 'confirmed').count()).toBeGreaterThan(before);
  await old.close();
});

test('a killed server is noticed, survived and picked up again', async ({ open, relais }) => {
  const desk = await open('/');
  await desk.keyboard.press('2');
  const before = await desk.locator('.grid [data-slot]').count();
  await relais.kill();
  await expect(desk.locator('[data-banner=lost]')).toBeVisible();
  await expect(desk.locator('.grid [data-slot]')).toHaveCount(before);
  await shot(desk, 'desk-offline');
  await relais.start(new URL(relais.ready.url).host);
  await expect(desk.locator('[data-link=live]')).toBeVisible({ timeout: 60_000 });
  await expect(desk.locator('[data-banner=lost]')).toBeHidden();
  await expect(desk.locator('.grid [data-slot]')).toHaveCount(before);
});
