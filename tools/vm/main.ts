/**
 * `make vm`: runs VM_COMMAND (or the arguments) as root in a virtual machine with a kernel of its own, and ends
 * with its exit code. The settings are in settings.ts, their meaning in docs/testing.md.
 */

import { explain, EXIT_CANNOT_RUN, exitCodeOf } from './outcome.ts';
import { runMachine } from './machine.ts';
import { CannotRun } from './prepare.ts';
import { missing } from './requirements.ts';
import { machineSettings, SettingError } from './settings.ts';
import { passedOn } from './passed-on.ts';

function say(text: string): void {
  process.stderr.write(`vm: ${text}\n`);
}

async function main(): Promise<number> {
  const line = process.argv.length > 2 ? process.argv.slice(2).join(' ') : (process.env['VM_COMMAND'] ?? '');
  if (line === '') throw new SettingError('nothing to run: make vm CMD="uname -r"');
  const settings = machineSettings(process.env);
  const lacking = missing(settings.init);
  if (lacking.length > 0) throw new CannotRun(`no virtual machine can run here; missing:\n  ${lacking.join('\n  ')}`);

  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort());
  const command = { line, directory: process.cwd(), environment: passedOn(process.env) };
  const run = await runMachine(settings, command, process, { interrupt: interrupt.signal });
  say(explain(run));
  return exitCodeOf(run.end);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof CannotRun) && !(error instanceof SettingError)) throw error;
  say(error.message);
  process.exitCode = EXIT_CANNOT_RUN;
}
