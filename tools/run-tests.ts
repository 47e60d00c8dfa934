/**
 * `make test` after the build: native tests, unit tests, scenarios, those in a virtual machine, each to its end
 * whatever the others do.
 * The last line of the output, also in build/test-summary, is the sum: `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countNative, countVitest, settle, sum, summaryLine, type Counts } from './test-counts.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(root, 'build');

interface Result {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs a command, shows its output as it comes, and keeps it. */
async function run(program: string, args: readonly string[], environment: Record<string, string> = {}): Promise<Result> {
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  child.once('error', reject);
  child.once('close', (code) => resolve(code === 0));
  return { ok: await promise, output };
}

async function native(): Promise<Counts> {
  const { ok, output } = await run('make', ['--no-print-directory', '-C', 'native', 'test']);
  return settle(countNative(output), ok);
}

async function vitest(name: string, script: readonly string[], environment: Record<string, string>): Promise<Counts> {
  const report = join(build, `test-${name}.json`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { ok } = await run(process.execPath, [...script, ...reporters], environment);
  return settle(existsSync(report) ? countVitest(readFileSync(report, 'utf8')) : undefined, ok);
}

/** Boots machines of its own; where none can run it says why, and counts as skipped. */
async function virtualMachine(): Promise<Counts> {
  const { ok, output } = await run(process.execPath, ['tools/vm/test.ts', '--may-skip']);
  return settle(countNative(output), ok);
}

function title(text: string): void {
  process.stdout.write(`\n== ${text}\n`);
}

mkdirSync(build, { recursive: true });
const started = performance.now();
const results: [string, Counts][] = [];

title('native tests');
results.push(['native', await native()]);
title('unit tests');
results.push(['unit', await vitest('unit', ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit'], {})]);
title('scenarios');
results.push(['scenarios', await vitest('scenarios', ['conformance/run.ts'], { BERTHD: join(root, 'dist/berthd') })]);
title('in a virtual machine');
results.push(['vm', await virtualMachine()]);

const total = sum(results.map(([, counts]) => counts));
title(`all, in ${Math.round((performance.now() - started) / 1000)} s`);
for (const [name, counts] of results) process.stdout.write(`${name}: ${summaryLine(counts)}\n`);
writeFileSync(join(build, 'test-summary'), `${summaryLine(total)}\n`);
process.stdout.write(`${summaryLine(total)}\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
