/**
 * `make test-vm`: the tests that need a kernel of their own. Those in conformance/vm/plain and conformance/vm/systemd
 * run inside of a machine with that init, by the checkout's own node and vitest; those in conformance/vm/outside
 * start machines themselves. INIT chooses one of the three, FOCUS a part of a file's name. The last line is the sum.
 *
 * `--may-skip`: where no machine can run, that is a skip with its reason and not a failure.
 */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countVitest, settle, sum, summaryLine } from '../test-counts.ts';
import type { Counts } from '../test-counts.ts';
import { runMachine } from './machine.ts';
import { EXIT_CANNOT_RUN, explain, isEmulatorsFault } from './outcome.ts';
import { passedOn } from './passed-on.ts';
import { CannotRun } from './prepare.ts';
import { missing } from './requirements.ts';
import { machineSettings } from './settings.ts';

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PLACES = ['outside', 'plain', 'systemd'] as const;
type Place = (typeof PLACES)[number];

/** A machine without KVM on a busy processor takes its time. */
const TIMEOUT = '1200';
const SWAP = '64M';

function vitest(place: Place, report: string, focus: string): string[] {
  return [
    join(project, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'vm', `conformance/vm/${place}/${focus}`,
    '--reporter=default', '--reporter=json', `--outputFile.json=${report}`,
  ];
}

async function outside(report: string, focus: string): Promise<boolean> {
  const child = spawn(process.execPath, vitest('outside', report, focus), { cwd: project, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code === 0));
  });
}

async function inside(init: 'plain' | 'systemd', results: string, focus: string, interrupt: AbortSignal): Promise<boolean> {
  const words = [process.execPath, ...vitest(init, '/run/berth-vm/results/report.json', focus)];
  const environment = {
    ...passedOn(process.env),
    BERTHD: join(project, 'dist/berthd'),
    // A machine for the tests alone is the world of their own that scenarios ask for.
    BERTH_WORLD: '1',
  };
  const command = { line: words.map((word) => `'${word}'`).join(' '), directory: project, environment };
  // A disk of its own, new every time: limits on its throughput are tested with it.
  const disk = join(dirname(results), `test-vm-${init}-disk`);
  rmSync(disk, { force: true });
  const settings = machineSettings({ TIMEOUT, SWAP, DISK: `${disk}:64M`, ...process.env, INIT: init });
  // Tests can be run again; a second fault of the emulator counts.
  for (let attempt = 1; ; attempt += 1) {
    const run = await runMachine(settings, command, process, { results, interrupt });
    rmSync(disk, { force: true });
    process.stdout.write(`vm: ${init}: ${explain(run)}\n`);
    if (attempt > 1 || !isEmulatorsFault(run)) return run.end.kind === 'ended' && run.end.code === 0;
    process.stdout.write(`vm: ${init}: the emulator's fault (docs/testing.md): once more\n`);
  }
}

async function runPlace(place: Place, focus: string, interrupt: AbortSignal): Promise<Counts> {
  const results = join(project, 'build', `test-vm-${place}`);
  const report = join(results, 'report.json');
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const ok = place === 'outside' ? await outside(report, focus) : await inside(place, results, focus, interrupt);
  return settle(existsSync(report) ? countVitest(readFileSync(report, 'utf8')) : undefined, ok);
}

async function main(): Promise<number> {
  const chosen = PLACES.filter((place) => ['', place].includes(process.env['INIT'] ?? ''));
  if (chosen.length === 0) throw new CannotRun(`INIT: expected one of ${PLACES.join(', ')}`);
  const lacking = missing(chosen.includes('systemd') ? 'systemd' : 'plain');
  if (lacking.length > 0) throw new CannotRun(`no virtual machine can run here; missing:\n  ${lacking.join('\n  ')}`);

  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort());
  const counts: Counts[] = [];
  for (const place of chosen) {
    if (!interrupt.signal.aborted) counts.push(await runPlace(place, process.env['FOCUS'] ?? '', interrupt.signal));
  }
  const total = sum(counts);
  process.stdout.write(`vm: ${summaryLine(total)}\n`);
  return total.failed === 0 && !interrupt.signal.aborted ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof CannotRun)) throw error;
  const maySkip = process.argv.includes('--may-skip');
  process.stdout.write(`vm: skipped: ${error.message}\nvm: 0 passed, 0 failed, 1 skipped\n`);
  process.exitCode = maySkip ? 0 : EXIT_CANNOT_RUN;
}
