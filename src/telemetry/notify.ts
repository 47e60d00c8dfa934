/**
 * Tells the service manager that berthd is ready, stopping, and alive (sd_notify(3)).
 *
 *   const notifier = createNotifier({ environment: process.env, helper, log });
 *   await notifier.ready('serving on …');     // also begins the watchdog's pings, where the unit asks for them
 *   await notifier.stopping();
 *
 * Node has no datagram Unix sockets, so the messages go out through `helper`, the native berth-notify.
 * Without NOTIFY_SOCKET in the environment nothing happens. That the service manager cannot be told is
 * logged, never thrown: it is no reason to stop serving.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

export interface NotifierOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute path of berth-notify. */
  readonly helper: string;
  readonly log: Logger;
}

export interface Notifier {
  ready(status: string): Promise<void>;
  stopping(): Promise<void>;
}

const run = promisify(execFile);

/** Longer than the helper's own wait for the service manager. */
const helperTimeoutMs = 10_000;

export function createNotifier(options: NotifierOptions): Notifier {
  const socket = options.environment['NOTIFY_SOCKET'] ?? '';
  let pings: NodeJS.Timeout | undefined;
  let last = Promise.resolve();
  let waiting = 0;
  const deliver = async (assignments: readonly string[]): Promise<void> => {
    try {
      await run(options.helper, assignments, { env: { NOTIFY_SOCKET: socket }, timeout: helperTimeoutMs });
    } catch (error) {
      options.log.warn({ err: error, assignments }, 'the service manager could not be told');
    }
    waiting -= 1;
  };
  /** One after another, so that they arrive in order. */
  const send = (...assignments: string[]): Promise<void> => {
    if (socket === '') return last;
    waiting += 1;
    last = last.then(() => deliver(assignments));
    return last;
  };
  const ping = (): void => {
    if (waiting === 0) void send('WATCHDOG=1');
  };
  return {
    async ready(status) {
      await send('READY=1', `STATUS=${oneLine(status)}`);
      const interval = watchdogIntervalMs(options.environment);
      if (socket === '' || interval === undefined) return;
      pings ??= setInterval(ping, interval).unref();
    },
    async stopping() {
      clearInterval(pings);
      await send('STOPPING=1', 'STATUS=stopping');
    },
  };
}

/** Half of what the unit allows, as sd_watchdog_enabled(3) recommends; undefined when it is not for us. */
function watchdogIntervalMs(environment: NotifierOptions['environment']): number | undefined {
  const microseconds = Number(environment['WATCHDOG_USEC'] ?? 0);
  const pid = environment['WATCHDOG_PID'];
  if (!(microseconds > 0) || (pid !== undefined && Number(pid) !== process.pid)) return undefined;
  return Math.max(1, Math.floor(microseconds / 2000));
}

/** A newline would begin another assignment. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
