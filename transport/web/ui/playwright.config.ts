import { fileURLToPath } from 'node:url';
import { defineConfig } from '@playwright/test';

// The pages against the real program. It needs bin/relais (or RELAIS_BIN) with the pages inside
// and Chromium (CHROMIUM, else Debian's).
export default defineConfig({
  testDir: 'e2e',
  outputDir: fileURLToPath(new URL('../../../build/e2e', import.meta.url)),
  reporter: [['list']],
  workers: 1,
  retries: 0,
  timeout: 180_000,
  expect: { timeout: 30_000 },
  // A process of its own for each: the story counts openings.
  projects: [
    { name: 'story', testMatch: 'story.spec.ts' },
    { name: 'pages', testMatch: 'pages.spec.ts' },
    { name: 'desk', testMatch: 'desk.spec.ts' },
    { name: 'modes', testMatch: 'modes.spec.ts' },
    { name: 'patient', testMatch: 'patient.spec.ts' },
    { name: 'waitlist', testMatch: 'waitlist.spec.ts' },
    { name: 'byhand', testMatch: 'byhand.spec.ts' },
    { name: 'insights', testMatch: 'insights.spec.ts' },
    { name: 'access', testMatch: 'access.spec.ts' },
  ],
  use: {
    browserName: 'chromium',
    headless: true,
    screenshot: 'only-on-failure',
    viewport: { width: 1600, height: 950 },
    // Far from the clinic's zone: the pages must not notice.
    timezoneId: 'Asia/Tokyo',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
