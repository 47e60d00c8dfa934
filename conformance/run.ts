/**
 * Runs the scenarios in a world of their own: `node conformance/run.ts [vitest arguments]`, as root.
 * Without arguments all of them; `node conformance/run.ts logs` those of files whose name has "logs".
 */

import { fileURLToPath } from 'node:url';
import { runInWorld } from './harness/world.ts';

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));

process.exitCode = await runInWorld(
  [process.execPath, vitest, 'run', '--project', 'scenario', ...process.argv.slice(2)],
  { pid: true },
);
