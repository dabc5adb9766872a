import { defineConfig } from 'vitest/config';

const project = (name: string, timeoutMs: number, parallel = true, globalSetup: string[] = []) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutMs,
    hookTimeout: 120_000,
    fileParallelism: parallel,
    globalSetup,
    pool: 'forks' as const,
  },
});

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      project('tidy', 20_000),
      project('unit', 10_000),
      project('property', 120_000),
      // Real servers on two cores: one file at a time.
      project('integration', 60_000, false),
      project('crash', 1_200_000, false),
      // Brings a cluster up unless one is, or says what is skipped and why.
      project('cluster', 600_000, false, ['test/cluster/global-setup.ts']),
      project('e2e', 900_000, false, ['test/cluster/global-setup.ts']),
    ],
  },
});
