/**
 * The daemon's logger: JSON lines on standard output.
 *
 *   const log = createLogger({ level: config.logLevel });
 *   const child = log.child({ component: 'pod-network' });
 *   await flushLogger(log);   // before the process ends
 */
import { pino, type DestinationStream, type Logger } from 'pino';
import type { LogLevel } from '../config/config.ts';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Standard output when absent. */
  readonly destination?: DestinationStream;
}

/**
 * Fields that hold secrets, under their CRI, Docker and HTTP names. Removed at every depth that a log
 * line here has, whoever logs them. The first line of defence is not to log requests at all.
 */
const secretFields = [
  'auth',
  'password',
  'identity_token',
  'registry_token',
  'identityToken',
  'registryToken',
  'authorization',
  'Authorization',
  'token',
  'access_token',
  'refresh_token',
];

const depths = ['', '*.', '*.*.', '*.*.*.'];

export function createLogger(options: LoggerOptions): Logger {
  const paths = depths.flatMap((depth) => secretFields.map((field) => depth + field));
  const settings = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths, censor: '[redacted]' },
  };
  // Not synchronous: a journal that stalls must not stall the calls.
  return pino(settings, options.destination ?? pino.destination({ dest: 1, sync: false }));
}

/** Waits until everything logged so far is written. */
export async function flushLogger(log: Logger): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  log.flush(() => resolve());
  await promise;
}
