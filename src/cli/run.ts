/** Finds the command that the arguments name and runs it. */
import type { Command, Output } from './command.ts';

/** Wrong usage, as distinct from a command that found something wrong. */
const usageError = 2;

export async function runCommandLine(commands: readonly Command[], args: readonly string[], output: Output): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    output.write(overview(commands));
    return name === undefined ? usageError : 0;
  }
  const command = commands.find((each) => each.name === (name === '--version' || name === '-v' ? 'version' : name));
  if (command === undefined) {
    output.complain(`berth: there is no command ${name}; berth --help lists them\n`);
    return usageError;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    output.write(command.help);
    return 0;
  }
  try {
    return await command.run(rest, output);
  } catch (error) {
    if (!isUsageError(error)) throw error;
    output.complain(`berth ${command.name}: ${error.message}\n`);
    return usageError;
  }
}

/** parseArgs marks its errors with codes of their own. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return ['Usage: berth COMMAND [flags]', '', ...lines, '', 'berth COMMAND --help explains a command.', ''].join('\n');
}
