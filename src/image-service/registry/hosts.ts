/**
 * Which servers are asked for a registry's images, in which order. Read from the mirror tree anew for
 * every pull, so that a change takes effect without a restart.
 */

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { wrapError } from '../../errors/catalogue.ts';
import { allCapabilities, defaultDialTimeout, noTlsFiles } from './endpoint.ts';
import type { Endpoint, TlsFiles } from './endpoint.ts';
import { configInvalid, parseHostUrl, parseHostsFile } from './hosts-toml.ts';
import type { HostSettings } from './hosts-toml.ts';

export interface HostSources {
  /** The mirror tree. */
  readonly configDir: string;
  /** `HOST/` with certificates alone, as Docker has them; counts for what the tree does not name. Empty for none. */
  readonly dockerCertsDir: string;
}

/**
 * The endpoints for `domain` (`host[:port]`, docker.io for short names): the mirrors of its
 * hosts.toml, then its server. Without a file it is the registry itself over https, and no address
 * is spoken to in plain HTTP unless a file says so.
 */
export async function readEndpoints(sources: HostSources, domain: string, signal: AbortSignal): Promise<readonly Endpoint[]> {
  return (await findEndpoints(sources, domain, signal)).endpoints;
}

/** The same, with the file or directory that says so; undefined: none does. */
export async function findEndpoints(
  { configDir, dockerCertsDir }: HostSources,
  domain: string,
  signal: AbortSignal,
): Promise<{ readonly source: string | undefined; readonly endpoints: readonly Endpoint[] }> {
  const own = { url: ownUrl(domain), host: ownHost(domain) };
  for (const name of directoryNames(domain)) {
    const directory = join(configDir, name);
    const trusted = name !== '_default';
    const hostsFile = join(directory, 'hosts.toml');
    const text = await readIfPresent(hostsFile, signal);
    if (text !== undefined) {
      const file = parseHostsFile(text, hostsFile, own.url);
      const endpoints = [...file.hosts, file.server].map((settings) => endpoint(settings, own.host, trusted));
      return { source: hostsFile, endpoints: withoutRepeats(endpoints) };
    }
    const tls = await readDockerCertificates(directory);
    if (tls !== undefined) return { source: directory, endpoints: [ownEndpoint(own, tls)] };
  }
  const docker = join(dockerCertsDir, domain);
  const tls = dockerCertsDir === '' ? undefined : await readDockerCertificates(docker);
  if (tls !== undefined) return { source: docker, endpoints: [ownEndpoint(own, tls)] };
  return { source: undefined, endpoints: [ownEndpoint(own, noTlsFiles)] };
}

function ownUrl(domain: string): string {
  return `https://${ownHost(domain)}`;
}

/** docker.io is a name; the registry behind it answers at another address. */
function ownHost(domain: string): string {
  return domain === 'docker.io' ? 'registry-1.docker.io' : domain;
}

/** `HOST_PORT_` is for file systems that allow no colon. */
function directoryNames(domain: string): readonly string[] {
  const port = /^(.*):([0-9]+)$/.exec(domain);
  const withoutColon = port === null ? [] : [`${port[1] ?? ''}_${port[2] ?? ''}_`];
  return [...withoutColon, domain, '_default'];
}

function endpoint(settings: HostSettings, own: string, fileNamesRegistry: boolean): Endpoint {
  const isMirror = settings.host.toLowerCase() !== hostOfUrl(own);
  return { ...settings, isMirror, trustedWithCredentials: fileNamesRegistry || !isMirror };
}

/** The URL form of a host drops the default port and upper case, so both sides are compared in it. */
function hostOfUrl(host: string): string {
  return URL.canParse(`https://${host}`) ? new URL(`https://${host}`).host : host;
}

function ownEndpoint(own: { readonly url: string }, tls: TlsFiles): Endpoint {
  return {
    ...parseHostUrl(own.url, false, 'image reference'),
    capabilities: allCapabilities,
    headers: {},
    tls,
    dialTimeout: defaultDialTimeout,
    isMirror: false,
    trustedWithCredentials: true,
  };
}

/** A file that lists the registry itself among the hosts would have it asked twice. */
function withoutRepeats(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const seen = new Set<string>();
  return endpoints.filter(({ origin, basePath }) => {
    const key = origin + basePath;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

async function readIfPresent(path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await readFile(path, { encoding: 'utf8', signal });
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw wrapError(`read ${path}`, cause, 'CONFIG_INVALID');
  }
}

/** The Docker layout: `*.crt` are trusted, `*.cert` with the `*.key` of the same name is the client's. */
async function readDockerCertificates(directory: string): Promise<TlsFiles | undefined> {
  let names: string[];
  try {
    names = (await readdir(directory)).toSorted();
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw wrapError(`read ${directory}`, cause, 'CONFIG_INVALID');
  }
  const ca = names.filter((name) => name.endsWith('.crt')).map((name) => join(directory, name));
  const client = names
    .filter((name) => name.endsWith('.cert'))
    .map((name) => {
      const key = name.replace(/\.cert$/, '.key');
      if (!names.includes(key)) throw configInvalid(join(directory, name), `its key ${key} is missing`);
      return { cert: join(directory, name), key: join(directory, key) };
    });
  return { ca, client, skipVerify: false };
}

function isAbsent(cause: unknown): boolean {
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
