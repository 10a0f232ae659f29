import { defineConfig } from 'vitest/config';

const source = new URL('./src/index.ts', import.meta.url).pathname;

export default defineConfig({
  test: {
    include: ['{dsl,compiler,models,src,property-tests}/**/*.test.ts', 'bench/*.test.mjs'],
    testTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
  resolve: {
    alias: [
      { find: 'pixnerd', replacement: source },
      { find: /^(\.\.\/)+dist\/index\.js$/, replacement: source }, // the bench imports what is built
    ],
  },
});
