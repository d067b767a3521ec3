// Starts the real program with fresh data, and what the specs do with it again and again.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test as base, expect, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from '@playwright/test';

const bin = process.env.RELAIS_BIN ?? fileURLToPath(new URL('../../../../bin/relais', import.meta.url));
const shots = fileURLToPath(new URL('../../../../build/screenshots', import.meta.url));

export interface Ready {
  url: string;
  demo_url: string;
  metrics_url: string;
  account: string;
  password: string;
}

interface Item {
  id: string;
  at: string;
  kind: string;
  mine: boolean;
  text: string;
  links?: string[] | null;
}
export interface Thread {
  id: string;
  name: string;
  items: Item[] | null;
}

/** One process of the demo. */
export class Relais {
  ready!: Ready;
  #data = mkdtempSync(join(tmpdir(), 'relais-e2e-'));
  #child: ChildProcess | undefined;
  #log: string[] = [];

  async start(addr = '127.0.0.1:0') {
    if (!existsSync(bin)) throw new Error(`There is no ${bin}: run "make build" first, or set RELAIS_BIN.`);
    const child = spawn(bin, ['demo', '--addr', addr, '--data', this.#data, '--json', '--quiet'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stderr.on('data', (b: Buffer) => this.#log.push(b.toString()));
    const ended = new Promise<never>((_, no) => {
      child.once('exit', (code) => no(new Error(`relais ended with ${code}:\n${this.#log.join('')}`)));
      child.once('error', no);
    });
    ended.catch(() => {}); // it ends at the end of the test too
    const line = new Promise<string>((yes) => createInterface({ input: child.stdout }).once('line', yes));
    const ready = JSON.parse(await Promise.race([line, ended])) as Ready;
    // A second start has the account already and need not know its password.
    this.ready = { ...ready, password: ready.password || this.ready?.password };
    return this;
  }

  /** Ends it as a crash would, and waits until it is gone. */
  async kill() {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((yes) => child.once('exit', yes));
    child.kill('SIGKILL');
    await gone;
  }

  async stop() {
    await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }

  async threads(): Promise<Thread[]> {
    const res = await fetch(`${this.ready.url}/sandbox/api/state`);
    return ((await res.json()) as { threads: Thread[] | null }).threads ?? [];
  }

  /** Everything that left for somebody, oldest first. */
  async sent(): Promise<(Item & { thread: string })[]> {
    const all = (await this.threads()).flatMap((t) => (t.items ?? []).filter((i) => !i.mine).map((i) => ({ ...i, thread: t.id })));
    return all.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  }
}

export { expect };

export type Open = (path: string, options?: BrowserContextOptions, lang?: string) => Promise<Page>;

/**
 * relais is one process for all tests of a file. open gives a page of its own browser session,
 * signed in, that fails the test when its scripts fail; it is closed with the test.
 */
export const test = base.extend<{ open: Open }, { relais: Relais }>({
  relais: [
    async ({}, use) => {
      const r = await new Relais().start();
      await use(r);
      await r.stop();
    },
    { scope: 'worker' },
  ],
  open: async ({ browser, relais }, use) => {
    const contexts: BrowserContext[] = [];
    const failures: Error[] = [];
    await use(async (path, options = {}, lang = 'fr') => {
      const context = await browser.newContext(options);
      contexts.push(context);
      await context.addInitScript((l) => {
        // Frames that run nothing have no storage.
        if (window === window.top && !localStorage.getItem('relais.lang')) localStorage.setItem('relais.lang', l);
      }, lang);
      const page = await context.newPage();
      page.on('pageerror', (e) => failures.push(e));
      await page.goto(relais.ready.url + path);
      await page.locator('input[name=account]').fill(relais.ready.account);
      await page.locator('input[name=password]').fill(relais.ready.password);
      await page.locator('form button.primary').click();
      await expect(page.locator('[data-link=live], .frame h1')).toBeVisible();
      return page;
    });
    for (const c of contexts) await c.close();
    expect(failures).toEqual([]);
  },
});

/** Cancels the nth appointment of a day after today in the record system; returns its card's place. */
export async function cancel(page: Page, n: number): Promise<{ time: string; appointment: string }> {
  const dme = page.locator('#demo-dme');
  const day = dme.locator('.two select').first();
  await expect(day.locator('option').nth(1)).toBeAttached();
  await day.selectOption({ index: 1 });
  const row = dme.locator('[data-appointment][data-status=booked][data-relais=no]').nth(n);
  const appointment = (await row.getAttribute('data-appointment')) ?? '';
  const time = await row.locator('.time').innerText();
  await row.getByRole('button').click();
  await expect(dme.locator(`[data-appointment="${appointment}"][data-status=booked]`)).toHaveCount(0);
  return { time, appointment };
}

/** The card of the grid in one of these states; the specs work on one opening at a time. */
export const cards = (page: Page, ...states: string[]): Locator =>
  page.locator(states.map((s) => `.grid [data-state=${s}]`).join(', '));

export async function shot(page: Page, name: string) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
}
