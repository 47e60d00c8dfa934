/**
 * Credentials from a file in the format of Docker's config.json, for pulls that bring none:
 *
 *   auths.HOST         auth (base64 of user:password), or username and password, identitytoken, registrytoken
 *   credHelpers.HOST   name of the program docker-credential-NAME that is asked for this host
 *   credsStore         the same for every other host
 *
 * HOST is a host with or without port, or a URL of it. The program gets the host on standard input after
 * `get` (docker-credential-helpers' protocol) and runs with berthd's environment.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { PullAuth } from './credentials.ts';
import { parseAuthConfig, serverHost } from './credentials.ts';

type Table = Readonly<Record<string, unknown>>;

/** Milliseconds for a helper, which may have to ask a service of the cloud. */
const helperTimeout = 30_000;

export interface AuthFile {
  /** `host[:port]` of an endpoint. Undefined where nothing is known of it. */
  credentials(host: string, signal: AbortSignal): Promise<PullAuth | undefined>;
}

/** Throws CONFIG_INVALID when the file is not what its format says. */
export async function readAuthFile(path: string, signal: AbortSignal): Promise<AuthFile> {
  const document = await parse(path, signal);
  const auths = tableOf(document['auths'] ?? {}, path, 'auths');
  const helpers = tableOf(document['credHelpers'] ?? {}, path, 'credHelpers');
  const store = document['credsStore'];
  return {
    async credentials(host, asked) {
      const helper = entryOf(helpers, host) ?? store;
      if (typeof helper === 'string' && helper !== '') return askHelper(helper, host, path, asked);
      const entry = entryOf(auths, host);
      return entry === undefined ? undefined : fromEntry(tableOf(entry, path, `auths."${host}"`), host, path);
    },
  };
}

async function parse(path: string, signal: AbortSignal): Promise<Table> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, { encoding: 'utf8', signal }));
  } catch (cause) {
    signal.throwIfAborted();
    // What JSON.parse says quotes the text, and the text holds passwords.
    if (cause instanceof SyntaxError) throw invalid(path, 'it is not JSON');
    throw wrapError(`registry.auth_file: read ${path}`, cause, 'CONFIG_INVALID');
  }
  return tableOf(value, path, 'the document');
}

function entryOf(table: Table, host: string): unknown {
  const match = Object.keys(table).find((key) => hostOfKey(key) === host);
  return match === undefined ? undefined : table[match];
}

/** Docker Hub's entry is a URL of its first version. */
function hostOfKey(key: string): string | undefined {
  try {
    return serverHost(key);
  } catch {
    return undefined;
  }
}

function fromEntry(entry: Table, host: string, path: string): PullAuth | undefined {
  const field = (name: string): string => {
    const value = entry[name] ?? '';
    if (typeof value !== 'string') throw invalid(path, `auths."${host}".${name} is not a string`);
    return value;
  };
  try {
    return parseAuthConfig({
      username: field('username'),
      password: field('password'),
      auth: field('auth'),
      identity_token: field('identitytoken'),
      registry_token: field('registrytoken'),
      server_address: host,
    });
  } catch (cause) {
    throw cause instanceof BerthError && cause.code === 'INVALID_FIELD' ? invalid(path, `auths."${host}": ${cause.message}`) : cause;
  }
}

async function askHelper(name: string, host: string, path: string, signal: AbortSignal): Promise<PullAuth | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) throw invalid(path, `"${name.slice(0, 60)}" is not a helper's name`);
  const program = `docker-credential-${name}`;
  const answer = await runHelper(program, host, AbortSignal.any([signal, AbortSignal.timeout(helperTimeout)])).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw wrapError(`registry.auth_file: ask ${program} for ${host}`, cause, 'CONFIG_INVALID');
  });
  // The protocol has no other sign for this than the text.
  if (answer.failed && /credentials not found/i.test(answer.output)) return undefined;
  const { Username: username, Secret: secret } = parseAnswer(answer.output);
  if (answer.failed || typeof username !== 'string' || typeof secret !== 'string') {
    throw new BerthError('CONFIG_INVALID', `registry.auth_file: ${program} has no usable answer for ${host}`);
  }
  const credentials = username === '<token>' ? { kind: 'identity' as const, token: secret } : { kind: 'basic' as const, username, password: secret };
  return { credentials, serverHost: host };
}

async function runHelper(program: string, host: string, signal: AbortSignal): Promise<{ readonly failed: boolean; readonly output: string }> {
  const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], signal, killSignal: 'SIGKILL' });
  // It may end without reading.
  child.stdin.on('error', () => undefined);
  child.stdin.end(host);
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close') as Promise<[number | null]>]);
  return { failed: code !== 0, output };
}

function parseAnswer(output: string): Table {
  try {
    const value: unknown = JSON.parse(output);
    return typeof value === 'object' && value !== null ? (value as Table) : {};
  } catch {
    return {};
  }
}

function tableOf(value: unknown, path: string, what: string): Table {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, `${what} is not an object`);
  return value as Table;
}

function invalid(path: string, problem: string): BerthError {
  return new BerthError('CONFIG_INVALID', `registry.auth_file: ${path}: ${problem}`);
}
