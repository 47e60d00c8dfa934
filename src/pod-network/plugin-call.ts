import type { Logger } from 'pino';

import { BerthError, wrapError } from '../errors/catalogue.ts';
import { step } from '../telemetry/steps.ts';
import type { Deadline } from './deadline.ts';
import { asRecord } from './json-record.ts';
import type { JsonRecord } from './json-record.ts';
import type { PluginFinder } from './plugin-finder.ts';
import type { ObservePlugin, PluginOutcome } from './plugin-metrics.ts';
import { runProcess } from './plugin-process.ts';
import type { ProcessOutcome } from './plugin-process.ts';

export type CniCommand = 'ADD' | 'DEL' | 'STATUS' | 'GC';

export interface PluginCall {
  readonly type: string;
  readonly command: CniCommand;
  readonly network: string;
  /** `namespace/name` of the pod for messages; empty for commands without one. */
  readonly pod: string;
  /** CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME and CNI_ARGS, as far as the command has them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly config: JsonRecord;
}

/** A plugin's refusal, with the number from the CNI specification's table (0: none was given). */
export class PluginError extends BerthError {
  readonly cniCode: number;

  constructor(message: string, cniCode: number) {
    super('CNI_FAILED', message);
    this.cniCode = cniCode;
  }
}

/** Settings of ours that mean nothing to a plugin, or that would change what a Node-based one does. */
const withheldVariable = /^(CNI_|NODE_|LISTEN_|WATCHDOG_)|^NOTIFY_SOCKET$/;

/** Executes plugins: environment, time limit, error messages, metrics. */
export class PluginCaller {
  readonly #finder: PluginFinder;
  readonly #observe: ObservePlugin;
  readonly #log: Logger;
  readonly #inherited: Readonly<Record<string, string>>;

  constructor(finder: PluginFinder, observe: ObservePlugin, log: Logger) {
    this.#finder = finder;
    this.#observe = observe;
    this.#log = log;
    this.#inherited = inheritedEnvironment();
  }

  /** The plugin's standard output. */
  call(call: PluginCall, deadline: Deadline): Promise<string> {
    return step('network.plugin', () => this.#call(call, deadline), { 'berth.plugin': call.type, 'berth.command': call.command });
  }

  async #call(call: PluginCall, deadline: Deadline): Promise<string> {
    const started = performance.now();
    let outcome: PluginOutcome = 'error';
    try {
      const result = await this.#run(call, deadline.signal);
      if (result.stderr !== '') this.#log.debug({ plugin: call.type, command: call.command, stderr: result.stderr }, 'plugin wrote to standard error');
      if (result.exitCode !== 0) throw refusal(call, result);
      outcome = 'ok';
      return result.stdout;
    } catch (error) {
      if (error instanceof BerthError) throw error;
      if (!deadline.signal.aborted) throw pluginError(call, describe(error));
      outcome = deadline.expired() ? 'timeout' : 'cancelled';
      if (deadline.expired()) throw pluginError(call, `the list did not finish within ${deadline.seconds} s; the plugin was killed`);
      throw wrapError(callSubject(call), error);
    } finally {
      this.#observe(call.type, call.command, outcome, (performance.now() - started) / 1000);
    }
  }

  async #run(call: PluginCall, signal: AbortSignal): Promise<ProcessOutcome> {
    const environment = {
      ...this.#inherited,
      CNI_COMMAND: call.command,
      CNI_PATH: this.#finder.searchPath,
      ...call.environment,
    };
    const input = JSON.stringify(call.config);
    try {
      return await runProcess({ path: this.#locate(call), environment, input }, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // The remembered binary was moved or replaced: search once more.
      this.#finder.forget();
      return await runProcess({ path: this.#locate(call), environment, input }, signal);
    }
  }

  #locate(call: PluginCall): string {
    const path = this.#finder.find(call.type);
    if (path !== undefined) return path;
    throw pluginError(call, `no such plugin binary in ${this.#finder.directories.join(', ')}`);
  }
}

/** The message's subject: `pod NS/NAME: network "N": plugin T COMMAND`. */
export function callSubject(call: Pick<PluginCall, 'type' | 'command' | 'network' | 'pod'>): string {
  const pod = call.pod === '' ? '' : `pod ${call.pod}: `;
  return `${pod}network ${JSON.stringify(call.network)}: plugin ${call.type} ${call.command}`;
}

export function pluginError(call: PluginCall, problem: string, cniCode = 0): PluginError {
  return new PluginError(`${callSubject(call)}: ${problem}`, cniCode);
}

/** The specification wants an error object on standard output; crashed plugins leave text on either. */
function refusal(call: PluginCall, result: ProcessOutcome): PluginError {
  const ending = result.signal === null ? `exit status ${result.exitCode}` : `killed by ${result.signal}`;
  const report = parseReport(result.stdout);
  if (report === undefined) {
    const text = (result.stderr.trim() || result.stdout.trim()).slice(-1000);
    return pluginError(call, `${ending} without a CNI error${text === '' ? '' : `: ${text}`}`);
  }
  const details = report.details === '' ? '' : `; ${report.details}`;
  return pluginError(call, `${report.msg}${details} (CNI error code ${report.code})`, report.code);
}

function parseReport(stdout: string): { code: number; msg: string; details: string } | undefined {
  try {
    const report = asRecord(JSON.parse(stdout));
    if (report === undefined || typeof report['code'] !== 'number') return undefined;
    const { msg, details } = report;
    return { code: report['code'], msg: typeof msg === 'string' ? msg : 'no message', details: typeof details === 'string' ? details : '' };
  } catch {
    return undefined;
  }
}

function inheritedEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !withheldVariable.test(name)) kept[name] = value;
  }
  // Plugins run iptables and nft by name.
  kept['PATH'] ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return kept;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
