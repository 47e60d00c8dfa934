/**
 * berthd's command line.
 *
 *   const command = parseCommandLine(process.argv.slice(2));
 *   if (command.action === 'help') print(helpText());
 *   if (command.action === 'run') config = await loadConfig(command);
 */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { BerthError } from '../errors/catalogue.ts';
import { settingProblem, settings, type Setting, type SettingValue } from './settings.ts';

export interface RunCommand {
  readonly action: 'run';
  /** From --config; absent: the default place, which may be missing. */
  readonly configFile?: string;
  /** Settings given as flags, by key. They win over the files. */
  readonly overrides: ReadonlyMap<string, SettingValue>;
}

export type CommandLine = RunCommand | { readonly action: 'help' } | { readonly action: 'version' };

type SettingWithFlag = Setting & { readonly flag: string };

const flagged = settings.filter((setting): setting is SettingWithFlag => setting.flag !== undefined);

function optionsConfig(): ParseArgsOptionsConfig {
  const options: ParseArgsOptionsConfig = {
    config: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  };
  for (const { flag, kind } of flagged) {
    options[flag] = kind.type === 'boolean' ? { type: 'boolean' } : { type: 'string', multiple: kind.type === 'paths' };
  }
  return options;
}

/** Throws CONFIG_INVALID naming the flag. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const values = parse(args);
  if (values['help'] === true) return { action: 'help' };
  if (values['version'] === true) return { action: 'version' };
  const overrides = new Map<string, SettingValue>();
  for (const { key, flag, kind } of flagged) {
    const value = values[flag];
    if (value === undefined) continue;
    const problem = settingProblem(kind, value);
    if (problem !== undefined) throw new BerthError('CONFIG_INVALID', `--${flag}: ${problem}`);
    overrides.set(key, value as SettingValue);
  }
  const configFile = values['config'];
  return { action: 'run', overrides, ...(typeof configFile === 'string' && { configFile }) };
}

function parse(args: readonly string[]): Readonly<Record<string, unknown>> {
  try {
    return parseArgs({ args: [...args], options: optionsConfig(), allowPositionals: false }).values;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('CONFIG_INVALID', `${reason}; berthd --help lists the flags`, { cause });
  }
}

export function helpText(): string {
  const rows: [string, string][] = [
    ['--config FILE', 'configuration (default /etc/berth/config.toml, then config.d/*.toml beside it)'],
    ...flagged.map((setting): [string, string] => [
      setting.placeholder === undefined ? `--${setting.flag}` : `--${setting.flag} ${setting.placeholder}`,
      `${setting.help}${defaultNote(setting.default)}`,
    ]),
    ['--help', 'this text'],
    ['--version', 'the version'],
  ];
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const lines = rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`);
  return ['Usage: berthd [flags]', '', 'Runs the Berth node runtime and serves CRI v1.', '', ...lines, ''].join('\n');
}

function defaultNote(value: SettingValue): string {
  if (value === '' || value === false) return '';
  return ` (default ${Array.isArray(value) ? value.join(', ') : String(value)})`;
}
