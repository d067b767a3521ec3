// Who may come in, how, and what each may do: invitations, passkeys (Chromium's virtual authenticator), one-time
// codes, sessions, API tokens, the limits of the roles, and the audit log.
import { createHmac } from 'node:crypto';
import AxeBuilder from '@axe-core/playwright';
import type { Browser, BrowserContext, Page } from '@playwright/test';
import { test as base, expect, Relais, shot } from './relais';

// Passkeys need a name: numbers will not do.
const test = base.extend<object, { relais: Relais }>({
  relais: [
    async ({}, use) => {
      const r = await new Relais().start('localhost:0');
      await use(r);
      await r.stop();
    },
    { scope: 'worker' },
  ],
});

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

/** The code that an authenticator app shows (RFC 6238), n steps from now. */
function code(secret: string, n = 0): string {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((b) => Number.parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + n));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = (mac[19] ?? 0) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

const password = 'quatre chevaux bleus';

async function fresh(browser: Browser, options = {}, lang = 'fr'): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext(options);
  await context.addInitScript((l) => {
    if (!localStorage.getItem('relais.lang')) localStorage.setItem('relais.lang', l);
  }, lang);
  return { context, page: await context.newPage() };
}

/** Invites somebody and lets them choose a name and a password in a browser of their own. */
async function join(browser: Browser, admin: Page, name: string, role: string) {
  await admin.locator('input[name=name]').fill(name);
  await admin.locator('select[name=role]').selectOption(role);
  const answer = admin.waitForResponse((r) => r.url().endsWith('/invitations'));
  await admin.locator('[data-invite]').click();
  const { link } = (await (await answer).json()) as { link: string };
  await expect(admin.locator('[data-secret] textarea')).toHaveValue(link);
  const own = await fresh(browser);
  await own.page.goto(link);
  await expect(own.page.locator('[data-offer]')).toBeVisible();
  expect(own.page.url()).not.toContain('#'); // the secret does not stay in the history
  await own.page.locator('input[name=account]').fill(name.toLowerCase());
  await own.page.locator('input[name=password]').fill(password);
  await own.page.locator('form button.primary').click();
  await expect(own.page.locator('[data-link=live]')).toBeVisible();
  return { ...own, link };
}

const call = (page: Page, method: string, path: string, body?: unknown) =>
  page.evaluate(
    async ([method, path, body]) => {
      const res = await fetch(path as string, {
        method: method as string,
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID() },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      return res.status;
    },
    [method, path, body] as const,
  );

/** The first message of the live feed, or the code that it was closed with. */
const feed = (page: Page, clinic: string) =>
  page.evaluate(
    (clinic) =>
      new Promise<string>((yes) => {
        const s = new WebSocket(`ws://${location.host}/ws/calendar?clinic=${clinic}`);
        s.onmessage = (e) => yes(String(e.data).slice(0, 12));
        s.onclose = (e) => yes(`closed ${e.code}`);
      }),
    clinic,
  );

test('an invitation, once; the limits of each role by page, API and socket', async ({ browser, open, relais }) => {
  const admin = await open('/users');
  await expect(admin.locator('[data-user]')).toHaveCount(1);
  const clinics = await admin.locator('header select option').evaluateAll((l) => l.map((o) => (o as HTMLOptionElement).value));
  const [here, other] = [new URL(admin.url()).searchParams.get('clinic') ?? clinics[0] ?? '', clinics[1] ?? ''];
  expect(clinics).toHaveLength(2);
  await clean(admin, 'users-fr-light');

  const lise = await join(browser, admin, 'Lise', 'clerk');
  const again = await fresh(browser);
  await again.page.goto(lise.link);
  await expect(again.page.locator('[data-gone]')).toBeVisible();
  await clean(again.page, 'invite-gone-fr-light');

  // A clerk of this clinic: works here, nothing elsewhere.
  const page = lise.page;
  expect(new URL(page.url()).searchParams.get('clinic')).toBe(here);
  await expect(page.locator('header select')).toHaveCount(0);
  expect(await call(page, 'GET', `/api/v1/clinics/${here}/calendar`)).toBe(200);
  expect(await call(page, 'GET', `/api/v1/clinics/${other}/calendar`)).toBe(404);
  expect(await call(page, 'POST', `/api/v1/clinics/${here}/check`)).toBe(200);
  expect(await call(page, 'POST', `/api/v1/clinics/${other}/check`)).toBe(404);
  expect(await call(page, 'GET', `/api/v1/clinics/${here}/users`)).toBe(403);
  expect(await call(page, 'GET', `/api/v1/clinics/${here}/audit`)).toBe(403);
  expect(await call(page, 'GET', `/api/v1/clinics/${here}/fairness`)).toBe(403);
  expect(await feed(page, here)).toBe('{"snapshot":');
  expect(await feed(page, other)).toBe('closed 4004');
  await page.goto(`${relais.ready.url}/?clinic=${other}`);
  await expect(page.locator('[data-link=live]')).toBeVisible();
  expect(new URL(page.url()).searchParams.get('clinic')).toBe(here);
  await page.locator('[data-menu] summary').click();
  await expect(page.locator('[data-menu] a[href^="/account"]')).toBeVisible();
  await expect(page.locator('[data-menu] a[href^="/users"]')).toHaveCount(0);
  await page.goto(`${relais.ready.url}/users`);
  await expect(page.locator('main')).toContainText('ne donne pas accès');

  // The operator sees and changes nothing.
  const olga = await join(browser, admin, 'Olga', 'operator');
  expect(await call(olga.page, 'GET', `/api/v1/clinics/${here}/calendar`)).toBe(200);
  expect(await call(olga.page, 'POST', `/api/v1/clinics/${here}/check`)).toBe(403);
  await olga.page.getByRole('tab').nth(1).click();
  await expect(olga.page.locator('#person-search')).toBeVisible();
  await expect(olga.page.locator('[data-add], [data-import], [data-export]')).toHaveCount(0);
  await olga.page.locator('header .dme').click();
  await expect(olga.page.locator('dialog[open] [data-health]')).toBeVisible();
  await expect(olga.page.locator('dialog[open] .btn.danger')).toHaveCount(0);

  // A manager steers; being suspended closes the page.
  const max = await join(browser, admin, 'Max', 'manager');
  expect(await call(max.page, 'GET', `/api/v1/clinics/${here}/fairness`)).toBe(200);
  expect(await call(max.page, 'GET', `/api/v1/clinics/${here}/users`)).toBe(403);
  await admin.reload();
  const row = admin.locator('[data-user=max]');
  await row.locator('[data-do=suspend]').click();
  await row.locator('[data-sure]').click();
  await expect(row).toContainText('Suspendu');
  await expect(max.page.locator('[data-link=live]')).toHaveCount(0);
  expect(await call(max.page, 'GET', `/api/v1/clinics/${here}/calendar`)).toBe(404);

  // A role that changes takes effect at once.
  const lines = admin.locator('[data-user=lise]');
  await lines.locator('select').selectOption('administrator');
  await lines.locator('[data-apply]').click();
  await expect(admin.locator('[data-said]')).toHaveText('C’est fait.');
  expect(await call(page, 'GET', `/api/v1/clinics/${here}/users`)).toBe(200);
  await clean(admin, 'users-list-fr-light');
  for (const c of [lise, again, olga, max]) await c.context.close();
});

test('passkeys, codes, sessions and tokens of an account', async ({ browser, open, relais }) => {
  const admin = await open('/users');
  const { context, page } = await join(browser, admin, 'Rosa', 'manager');
  const cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  await page.goto(`${relais.ready.url}/account`);
  await expect(page.locator('[data-session]')).toHaveCount(1);
  await page.locator('input[name=key-name]').fill('Portable');
  await page.locator('[data-add-key] button').click();
  await expect(page.locator('[data-key]')).toHaveCount(1);
  expect((await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials).toHaveLength(1);

  // One-time codes.
  await page.locator('[data-totp-begin]').click();
  await expect(page.locator('svg.qr')).toBeVisible();
  const secret = await page.locator('[data-totp-secret]').innerText();
  await clean(page, 'account-totp-fr-light');
  await page.locator('input[name=totp]').fill('000000');
  await page.locator('form[data-totp] button.primary').click();
  await expect(page.locator('[data-said]')).toContainText('heure du téléphone');
  await page.locator('input[name=totp]').fill(code(secret));
  await page.locator('form[data-totp] button.primary').click();
  const recovery = (await page.locator('[data-secret] textarea').inputValue()).split('\n');
  expect(recovery).toHaveLength(10);
  await expect(page.locator('[data-totp-off]')).toBeVisible();

  // A token: shown once, works, and ends.
  await page.locator('input[name=token-name]').fill('Essai');
  await page.locator('input[name=scope-work]').check();
  await page.locator('[data-token-form] button').click();
  const token = await page.locator('[aria-labelledby=tokens-title] [data-secret] textarea').inputValue();
  expect(token).toMatch(/^relais_/);
  const bearer = (path: string, method = 'GET') => fetch(relais.ready.url + path, { method, headers: { Authorization: `Bearer ${token}` } }).then((r) => r.status);
  const clinic = await page.evaluate(async () => ((await (await fetch('/api/v1/me')).json()) as { clinics: { id: string }[] }).clinics[0]?.id);
  expect(await bearer(`/api/v1/clinics/${clinic}/calendar`)).toBe(200);
  expect(await bearer(`/api/v1/clinics/${clinic}/check`, 'POST')).toBe(200);
  expect(await bearer(`/api/v1/clinics/${clinic}/fairness`)).toBe(403);
  expect(await bearer('/api/v1/account')).toBe(403);
  await page.locator('[data-token] .danger').click();
  await expect(page.locator('[data-token]')).toHaveCount(0);
  expect(await bearer(`/api/v1/clinics/${clinic}/calendar`)).toBe(401);

  // Another browser: password and code, then the session is ended from here.
  const phone = await fresh(browser, { viewport: { width: 360, height: 740 } });
  await phone.page.goto(`${relais.ready.url}/account`);
  await phone.page.locator('input[name=account]').fill('rosa');
  await phone.page.locator('input[name=password]').fill(password);
  await phone.page.locator('form button.primary').click();
  await expect(phone.page.locator('input[name=code]')).toBeFocused();
  await clean(phone.page, 'sign-in-code-360');
  await phone.page.locator('input[name=code]').fill('111111');
  await phone.page.locator('form button.primary').click();
  await expect(phone.page.locator('#sign-in-error')).toContainText('Attendez le suivant');
  await phone.page.locator('input[name=code]').fill(recovery[0] ?? '');
  await phone.page.locator('form button.primary').click();
  await expect(phone.page.locator('[data-session]')).toHaveCount(2);
  expect(await phone.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await clean(phone.page, 'account-360');
  await page.reload();
  await page.locator('[data-end]').click();
  await expect(page.locator('[data-session]')).toHaveCount(1);
  await phone.page.reload();
  await expect(phone.page.locator('input[name=password]')).toBeVisible();

  // Out, and in again with the passkey: no password, no code.
  await page.locator('header button.icon').last().click();
  await page.locator('[data-passkey]').click();
  await expect(page.locator('[data-session]')).toHaveCount(1);
  await expect(page.locator('[data-session]')).toContainText('clé d’accès');

  // The password is changed; the old one is good for nothing.
  await page.locator('input[name=old]').fill(password);
  await page.locator('input[name=new]').fill('motdepasse2026');
  await page.locator('form[data-password] button').click();
  await expect(page.locator('[data-said]')).toContainText('quelques mots');
  await page.locator('input[name=new]').fill('trois tortues violettes');
  await page.locator('form[data-password] button').click();
  await expect(page.locator('[data-said]')).toContainText('Mot de passe changé');
  expect(await call(phone.page, 'POST', '/api/v1/session', { account: 'rosa', password })).toBe(401);
  await clean(page, 'account-fr-light');
  await context.close();
  await phone.context.close();
});

test('somebody who is locked out, and the audit log', async ({ browser, open }) => {
  const admin = await open('/users');
  const ines = await join(browser, admin, 'Ines', 'clerk');
  await admin.reload();
  const row = admin.locator('[data-user=ines]');
  await row.locator('[data-do=reset]').click();
  await row.locator('[data-sure]').click();
  const link = await admin.locator('[data-secret] textarea').inputValue();
  const own = await fresh(browser);
  await own.page.goto(link);
  await expect(own.page.locator('[data-offer]')).toContainText('ines');
  await clean(own.page, 'reset-fr-light');
  await own.page.locator('input[name=password]').fill('cinq bateaux rouges');
  await own.page.locator('form button.primary').click();
  await expect(own.page.locator('[data-link=live]')).toBeVisible();
  expect(await call(ines.page, 'GET', '/api/v1/me')).toBe(401);
  expect(await call(own.page, 'POST', `/api/v1/clinics/${new URL(own.page.url()).searchParams.get('clinic')}/check`)).toBe(200);

  await admin.goto(new URL('/audit', admin.url()).href);
  for (const what of ['user_invited', 'user_joined', 'user_reset', 'reset_used', 'sign_in', 'check']) {
    await expect(admin.locator(`[data-trace=${what}]`).first()).toBeVisible();
  }
  await expect(admin.locator('[data-trace=check]').first()).toContainText('127.0.0.1 session');
  await admin.locator('input[name=who]').fill('ines');
  await admin.locator('select[name=what]').selectOption('user_joined');
  await admin.locator('[data-filter]').click();
  await expect(admin.locator('[data-trace]')).toHaveCount(1);
  await clean(admin, 'audit-fr-light');
  await ines.context.close();
  await own.context.close();
});

test('the same pages in English and in the dark', async ({ open, browser, relais }) => {
  const dark = await open('/users', { colorScheme: 'dark' }, 'en');
  await dark.locator('input[name=name]').fill('Zoe');
  await dark.locator('[data-invite]').click();
  const link = await dark.locator('[data-secret] textarea').inputValue();
  await clean(dark, 'users-en-dark');
  for (const [path, what] of [['/account', 'account-en-dark'], ['/audit', 'audit-en-dark']] as const) {
    await dark.goto(relais.ready.url + path);
    await expect(dark.locator(path === '/audit' ? '[data-trace]' : '[data-session]').first()).toBeVisible();
    await clean(dark, what);
  }
  const guest = await fresh(browser, { colorScheme: 'dark' }, 'en');
  await guest.page.goto(link);
  await expect(guest.page.locator('[data-offer]')).toContainText('You are invited');
  await clean(guest.page, 'invite-en-dark');
  await guest.page.goto(relais.ready.url);
  await expect(guest.page.locator('[data-passkey]')).toBeVisible();
  await clean(guest.page, 'sign-in-en-dark');
  for (const scheme of ['light', 'dark'] as const) {
    const fr = await fresh(browser, { colorScheme: scheme }, scheme === 'dark' ? 'fr' : 'en');
    await fr.page.goto(`${link}`);
    await expect(fr.page.locator('[data-offer]')).toBeVisible();
    await clean(fr.page, `invite-${scheme === 'dark' ? 'fr' : 'en'}-${scheme}`);
    await fr.context.close();
  }
  await guest.context.close();
  for (const path of ['/users', '/audit', '/account']) {
    const light = await open(path, {}, 'en');
    await expect(light.locator('[data-user], [data-trace], [data-session]').first()).toBeVisible();
    await clean(light, `${path.slice(1)}-en-light`);
    const fr = await open(path, { colorScheme: 'dark' }, 'fr');
    await expect(fr.locator('[data-user], [data-trace], [data-session]').first()).toBeVisible();
    await clean(fr, `${path.slice(1)}-fr-dark`);
  }
});
