/** The shell scripts dist/berthd and dist/berth. */

export interface Program {
  readonly name: string;
  /** Below the project's root. */
  readonly entry: string;
  /** For node, before the program. */
  readonly nodeFlags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * `exec`: the daemon has the pid that the service manager started. The variables that are unset are for
 * somebody else's node: they could load code into ours, or make it slow.
 */
export function launcherScript({ name, nodeFlags, environment }: Program): string {
  const words = ['"$lib/node"', ...nodeFlags, `"$lib/${name}.mjs"`, '"$@"'];
  const exports = Object.entries(environment).map(([variable, value]) => `export ${variable}=${value}\n`);
  return `#!/bin/sh
lib=$(dirname -- "$(readlink -f -- "$0")")/lib
unset NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS NODE_V8_COVERAGE NODE_REPL_EXTERNAL_MODULE NODE_DEBUG
${exports.join('')}exec ${words.join(' ')}
`;
}
