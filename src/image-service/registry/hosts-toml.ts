/**
 * Reads one hosts.toml, the format of containerd's docs/hosts.md:
 *
 *   server = "https://registry.example.com"
 *   [host."https://mirror.example.com"]        tried first, in the order of the file
 *     capabilities = ["pull", "resolve"]
 *     ca = "ca.pem"                            or a list; relative to the file's directory
 *     client = [["cert.pem", "key.pem"]]       or "both.pem", or a list of files that hold both
 *     skip_verify = false
 *     override_path = false                    true: the URL's path is used without /v2
 *     dial_timeout = "5s"
 *     [host."https://mirror.example.com".header]
 *       x-token = "value"                      or a list
 *
 * The same settings at the top level belong to `server`.
 */

import { isAbsolute, join, normalize } from 'node:path';
import { parse } from 'smol-toml';
import { BerthError } from '../../errors/catalogue.ts';
import { allCapabilities, defaultDialTimeout } from './endpoint.ts';
import type { Capability, Endpoint, TlsFiles } from './endpoint.ts';
import { parseDuration } from './duration.ts';

/** An endpoint as one table of the file describes it. */
export type HostSettings = Omit<Endpoint, 'isMirror' | 'trustedWithCredentials'>;

export interface HostsFile {
  readonly hosts: readonly HostSettings[];
  /** The registry's own address, asked last. */
  readonly server: HostSettings;
}

type Table = Readonly<Record<string, unknown>>;

/** `path` names the file in errors; `defaultServer` is the registry's own URL. */
export function parseHostsFile(text: string, path: string, defaultServer: string): HostsFile {
  let document: Table;
  try {
    document = parse(text);
  } catch (cause) {
    throw configInvalid(path, cause instanceof Error ? cause.message.split('\n')[0] ?? '' : String(cause), cause);
  }
  const tables = document['host'] ?? {};
  if (!isTable(tables)) throw configInvalid(path, 'host is not a table');
  const hosts = Object.entries(tables).map(([url, table]) => {
    if (!isTable(table)) throw configInvalid(path, `host."${url}" is not a table`);
    return parseSettings(url, table, path, `host."${url}".`);
  });
  const server = document['server'] ?? defaultServer;
  if (typeof server !== 'string' || server === '') throw configInvalid(path, 'server is not a URL');
  return { hosts, server: parseSettings(server, document, path, '') };
}

function parseSettings(url: string, table: Table, path: string, prefix: string): HostSettings {
  const at = (field: string, problem: string): BerthError => configInvalid(path, `${prefix}${field} ${problem}`);
  const override = flag(table, 'override_path', at);
  return {
    ...parseHostUrl(url, override, path),
    capabilities: parseCapabilities(table['capabilities'], at),
    headers: parseHeaders(table['header'], at),
    tls: parseTls(table, path, at),
    dialTimeout: parseDialTimeout(table['dial_timeout'], at),
  };
}

type FieldError = (field: string, problem: string) => BerthError;

/** Splits a host's URL; without a scheme it is https. The path gets /v2 unless it has it or is overridden. */
export function parseHostUrl(
  text: string,
  overridePath: boolean,
  path: string,
): { readonly origin: string; readonly host: string; readonly basePath: string } {
  let url: URL;
  try {
    url = new URL(/^[a-z]+:\/\//i.test(text) ? text : `https://${text}`);
  } catch (cause) {
    throw configInvalid(path, `"${text}" is not a URL`, cause);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw configInvalid(path, `"${text}" is neither https nor http`);
  if (url.username !== '' || url.password !== '') throw configInvalid(path, 'a host URL must not hold credentials');
  const clean = normalize(url.pathname).replace(/\/+$/, '');
  const basePath = overridePath || clean.endsWith('/v2') ? clean : `${clean}/v2`;
  return { origin: url.origin, host: url.host, basePath };
}

function parseCapabilities(value: unknown, at: FieldError): ReadonlySet<Capability> {
  if (value === undefined) return allCapabilities;
  const names = stringList(value);
  if (names === undefined) throw at('capabilities', 'is not a list of strings');
  return new Set(
    names.map((name) => {
      const known = [...allCapabilities].find((capability) => capability === name.toLowerCase());
      if (known === undefined) throw at('capabilities', `holds "${name}"; known are ${[...allCapabilities].join(', ')}`);
      return known;
    }),
  );
}

/** RFC 9110: what a field's name and its value are made of. */
const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const fieldPattern = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

function parseHeaders(value: unknown, at: FieldError): Readonly<Record<string, readonly string[]>> {
  if (value === undefined) return {};
  if (!isTable(value)) throw at('header', 'is not a table');
  return Object.fromEntries(
    Object.entries(value).map(([name, content]) => {
      const values = typeof content === 'string' ? [content] : stringList(content);
      if (values === undefined) throw at(`header.${name}`, 'is neither a string nor a list of strings');
      if (!tokenPattern.test(name)) throw at(`header."${name}"`, 'is no name of a header');
      if (!values.every((text) => fieldPattern.test(text))) throw at(`header.${name}`, 'holds characters that no header may have');
      return [name.toLowerCase(), values];
    }),
  );
}

function parseTls(table: Table, path: string, at: FieldError): TlsFiles {
  const absolute = (file: string): string => (isAbsolute(file) ? file : join(path, '..', file));
  const ca = table['ca'];
  const caFiles = ca === undefined ? [] : typeof ca === 'string' ? [ca] : stringList(ca);
  if (caFiles === undefined) throw at('ca', 'is neither a file name nor a list of file names');
  return {
    ca: caFiles.map(absolute),
    client: parseClient(table['client'], at).map(({ cert, key }) => ({
      cert: absolute(cert),
      key: key === undefined ? undefined : absolute(key),
    })),
    skipVerify: flag(table, 'skip_verify', at),
  };
}

function parseClient(value: unknown, at: FieldError): readonly { cert: string; key: string | undefined }[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return [{ cert: value, key: undefined }];
  const wrong = at('client', 'is neither a file name, nor a list of file names, nor a list of [certificate, key] pairs');
  if (!Array.isArray(value)) throw wrong;
  return value.map((entry: unknown) => {
    if (typeof entry === 'string') return { cert: entry, key: undefined };
    const pair = stringList(entry);
    const [cert, key] = pair ?? [];
    if (pair === undefined || pair.length > 2 || cert === undefined) throw wrong;
    return { cert, key: key === '' ? undefined : key };
  });
}

function parseDialTimeout(value: unknown, at: FieldError): number {
  if (value === undefined || value === '') return defaultDialTimeout;
  const milliseconds = typeof value === 'string' ? parseDuration(value) : undefined;
  if (milliseconds === undefined || milliseconds <= 0) throw at('dial_timeout', 'is not a duration such as "5s"');
  return milliseconds;
}

function flag(table: Table, field: string, at: FieldError): boolean {
  const value = table[field] ?? false;
  if (typeof value !== 'boolean') throw at(field, 'is neither true nor false');
  return value;
}

function stringList(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string') ? value : undefined;
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

export function configInvalid(path: string, problem: string, cause?: unknown): BerthError {
  return new BerthError('CONFIG_INVALID', `${path}: ${problem}`, { cause });
}
