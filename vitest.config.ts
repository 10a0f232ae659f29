import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{dsl,compiler,models,src,property-tests}/**/*.test.ts'],
    testTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
  resolve: { alias: { pixnerd: new URL('./src/index.ts', import.meta.url).pathname } },
});
