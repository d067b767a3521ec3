import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const server = process.env.RELAIS_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    // The pages run under a policy without data: sources, so every asset is a file of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/api': server,
      '/sandbox': server,
      '/ws': { target: server, ws: true },
    },
  },
  test: {
    include: ['src/**/*.test.ts'],
    // The stores under test need the Svelte that reacts, which is the browser's.
    environment: './dev/reactive.ts',
    server: { deps: { inline: ['svelte'] } },
  },
  ...(process.env.VITEST && { resolve: { conditions: ['browser'] } }),
});
