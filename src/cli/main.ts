/** `berth`: the command line beside berthd. One file for each command. */
import { BerthError } from '../errors/catalogue.ts';
import { checkCommand } from './check.ts';
import type { Command, Output } from './command.ts';
import { imageCommand } from './image/image.ts';
import { registryCommand } from './registry/explain.ts';
import { runCommandLine } from './run.ts';
import { versionCommand } from './version.ts';

const commands: readonly Command[] = [checkCommand, imageCommand, registryCommand, versionCommand];

const output: Output = {
  write: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
};

try {
  process.exitCode = await runCommandLine(commands, process.argv.slice(2), output);
} catch (error) {
  // What the system refused is told by its message; of anything else the place matters, too.
  const told = error instanceof BerthError || (error instanceof Error && 'syscall' in error);
  const text = told ? error.message : String(error instanceof Error ? error.stack : error);
  output.complain(`berth: ${text}\n`);
  process.exitCode = 1;
}
