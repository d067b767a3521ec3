import type { Environment } from 'vitest/runtime';

// Plain Node, with modules compiled for the browser: Svelte compiles to its client runtime then.
export default {
  name: 'reactive',
  viteEnvironment: 'client',
  setup: () => ({ teardown() {} }),
} satisfies Environment;
