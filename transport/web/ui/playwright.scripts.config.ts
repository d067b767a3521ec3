import { defineConfig } from '@playwright/test';
import base from './playwright.config';

// What drives a browser and is no test: `make screenshots` and `make bench-ui`.
export default defineConfig({
  ...base,
  testDir: 'scripts',
  timeout: 600_000,
  projects: [
    { name: 'pictures', testMatch: 'pictures.ts' },
    { name: 'measure', testMatch: 'measure.ts' },
  ],
});
