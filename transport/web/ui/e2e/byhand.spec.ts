// What a clerk does by hand with slots: a free one is offered to the list, the press can be taken back, and of
// two clerks at one slot the later one is told who was first and may do it after all.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, shot, test } from './relais';

/** Opens a day that has free slots and returns one of them, by its identifier. */
async function free(page: Page) {
  for (let day = 0; day < 6; day++) {
    await page.locator('header .group .btn').nth(2).click();
    const all = page.locator('.grid [data-state=free]');
    if ((await all.count()) > 0) return (await all.first().getAttribute('data-slot')) ?? '';
  }
  throw new Error('no free slot in the week');
}

test('a free slot is offered by hand, from the keyboard, and the press can be taken back', async ({ open }) => {
  const page = await open('/');
  const id = await free(page);
  const card = page.locator(`.grid [data-slot="${id}"]`);
  await card.focus();
  await page.keyboard.press('Enter');
  await expect(page.locator('[data-action=free]')).toBeVisible();
  const { violations } = await new AxeBuilder({ page }).include('.panel').analyze();
  expect(violations.map((v) => v.id)).toEqual([]);
  await shot(page, 'desk-free');
  await page.keyboard.press('l');
  await expect(page.locator('[data-deferred=free]')).toBeVisible();
  await page.locator('[data-deferred=free] button').click();
  await expect(page.locator('[data-deferred=free]')).toHaveCount(0);
  await expect(card).toHaveAttribute('data-state', 'free');

  await page.locator('[data-action=free]').click();
  await expect(card).toHaveAttribute('data-state', /freed|offered/, { timeout: 40_000 });
  await expect(page.locator('section:has(#timeline-title)')).toContainText('L’accueil a libéré la plage');
  await expect(card).toHaveAttribute('data-state', 'offered', { timeout: 60_000 });
});

test('of two clerks at one slot the later one is told who was first, and may do it after all', async ({ open }) => {
  const anne = await open('/');
  const berthe = await open(new URL(anne.url()).pathname + new URL(anne.url()).search);
  const id = await free(anne);
  await free(berthe);
  await anne.locator(`.grid [data-slot="${id}"]`).click();
  await anne.locator('[data-action=free]').click();
  await expect(anne.locator(`.grid [data-slot="${id}"]`)).toHaveAttribute('data-state', 'offered', { timeout: 90_000 });
  await berthe.locator(`.grid [data-slot="${id}"]`).click();
  await expect(berthe.locator('[data-action=pause]')).toBeVisible();
  // Anne acts between Berthe's press and its arrival, so that the press is on something older.
  await berthe.route(
    '**/actions',
    async (route) => {
      await anne.locator('[data-action=send_now]').click();
      await expect(anne.locator('.notices')).toContainText('Envoi avancé');
      await route.continue();
    },
    { times: 1 },
  );
  await berthe.locator('[data-action=pause]').click();
  const notice = berthe.locator('.notices p.bad');
  await expect(notice).toContainText('Modifié par accueil à');
  await expect(berthe.locator('[data-action=resume]')).toHaveCount(0); // nothing was done
  await notice.locator('[data-again]').click();
  await expect(berthe.locator('[data-action=resume]')).toBeVisible();
  await expect(anne.locator('[data-action=resume]')).toBeVisible();
});

test('the sound is off until somebody wants it', async ({ open }) => {
  const page = await open('/');
  await page.locator('#calendar').focus();
  await page.keyboard.press('?');
  const box = page.locator('[data-sound]');
  await expect(box).not.toBeChecked();
  await box.check();
  await page.reload();
  await page.locator('#calendar').focus();
  await page.keyboard.press('?');
  await expect(box).toBeChecked();
});

test('a page that was too slow is put out, comes back by itself and misses nothing', async ({ open }) => {
  const other = await open('/');
  const id = await free(other);
  const page = await open(new URL(other.url()).pathname + new URL(other.url()).search);
  let put: ((options: { code: number }) => Promise<void>) | undefined;
  let times = 0;
  // The first socket gets its snapshot and then nothing any more, as one whose queue is full.
  await page.routeWebSocket('**/ws/calendar*', (ws) => {
    const server = ws.connectToServer();
    if (times++ > 0) return;
    let heard = 0;
    server.onMessage((m) => {
      if (heard++ === 0) ws.send(m);
    });
    put = (o) => ws.close(o);
  });
  await page.reload();
  await expect(page.locator('[data-link=live]')).toBeVisible();
  const card = (p: Page) => p.locator(`.grid [data-slot="${id}"]`);
  await expect(card(page)).toHaveAttribute('data-state', 'free');
  await card(other).click();
  await other.locator('[data-action=free]').click();
  await expect(card(other)).toHaveAttribute('data-state', 'offered', { timeout: 90_000 });
  await expect(card(page)).toHaveAttribute('data-state', 'free');
  await put?.({ code: 4001 }); // what the server closes a slow reader with
  await expect(card(page)).toHaveAttribute('data-state', 'offered');
  await expect(page.locator('[data-link=live]')).toBeVisible();
  expect(times).toBeGreaterThan(1);
});

test('the day is printed without what cannot be pressed on paper', async ({ open }) => {
  const page = await open('/');
  await page.emulateMedia({ media: 'print' });
  await expect(page.locator('.panel')).toBeHidden();
  await expect(page.locator('header .second')).toBeHidden();
  await expect(page.locator('.grid .paper')).toContainText(/20\d\d/); // paper says which day it is
  const grid = page.locator('.grid .scroll');
  // Nothing is cut off by the scrolled box.
  expect(await grid.evaluate((e) => getComputedStyle(e).overflowY === 'visible' && e.clientHeight >= e.querySelector('.sheet')!.clientHeight)).toBe(true);
  await shot(page, 'desk-print');
});
