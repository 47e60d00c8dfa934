/** One clause of the OCI runtime spec's configuration and how it is checked. */

import { baseConfig } from './bundle.ts';
import type { OciConfig, Workshop } from './bundle.ts';

export interface Clause {
  /** File and member: "config.md process.cwd". */
  readonly clause: string;
  /** What is checked, in a few words. Unique together with `clause`. */
  readonly check: string;
  readonly config: (workshop: Workshop) => OciConfig;
  /** The whole standard output, or what it matches; or else an error that matches, and no container. */
  readonly expected: { readonly output: string | RegExp } | { readonly refused: RegExp };
}

export type Change = (config: OciConfig, workshop: Workshop) => void;

/** `script` runs in the container, and its output has to be `output`. */
export function gives(clause: string, check: string, script: string, output: string | RegExp, change: Change = () => undefined): Clause {
  return { clause, check, config: changed(script, change), expected: { output } };
}

/** The container is not made, and the error says `message`. */
export function refuses(clause: string, check: string, message: RegExp, change: Change): Clause {
  return { clause, check, config: changed('echo ran', change), expected: { refused: message } };
}

const changed = (script: string, change: Change) => (workshop: Workshop): OciConfig => {
  const config = baseConfig(['/bin/sh', '-c', script]);
  change(config, workshop);
  return config;
};

export const process = (members: Record<string, unknown>): Change => (config) => void Object.assign(config.process, members);
export const linux = (members: Record<string, unknown>): Change => (config) => void Object.assign(config.linux, members);
export const mount = (destination: string, type: string, source: string | ((workshop: Workshop) => string), ...options: string[]): Change =>
  (config, workshop) => void config.mounts.push({ destination, type, source: typeof source === 'string' ? source : source(workshop), options });
export const both = (...changes: Change[]): Change => (config, workshop) => changes.forEach((change) => change(config, workshop));
