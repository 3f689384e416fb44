import { defineConfig } from 'vitest/config'

/** The tests that need programs we did not write (see install.sh); run by run.sh, one file at a time. */
export default defineConfig({
  test: {
    include: ['test/peers/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
})
