/**
 * Image references: `[host[:port]/]path[:tag][@digest]`.
 *
 * The grammar and the short-name rules are those of the distribution project's reference package,
 * which the whole ecosystem follows: the first component is a host when it holds a dot, a colon or a
 * capital letter, or is `localhost`; everything else lives under docker.io, and single names there
 * under `library/`.
 */

import { isIPv6 } from 'node:net';
import { BerthError } from '../errors/catalogue.ts';
import { isDigest } from './digest.ts';

export interface ImageReference {
  /** `host[:port]` as written, docker.io for short names. */
  readonly domain: string;
  /** Repository within the registry, e.g. `library/busybox`. */
  readonly path: string;
  /** Set when there is no digest: a digest decides alone. */
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const domainLabel = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const ipv6 = '\\[(?:[a-fA-F0-9:]+)\\]';
const domainPattern = new RegExp(`^(?:${domainLabel}(?:\\.${domainLabel})*|${ipv6})(?::[0-9]{1,5})?$`);
const componentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
/** Of the path, as registries count, and of a host name (RFC 1035). */
const maxLength = 255;

/**
 * Parses and completes a reference. A name with neither tag nor digest gets the tag `latest`; of a
 * name with both, the digest counts and the tag is dropped, as every CRI runtime does.
 */
export function parseReference(text: string): ImageReference {
  if (text === '') throw invalid(text, 'it is empty');
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(text)) {
    throw invalid(text, 'it is an image id; give a name, which tells where to pull from');
  }
  const { name, tag, digest } = splitReference(text);
  const { domain, path } = splitName(name);
  if (!isHost(domain)) throw invalid(text, `"${domain}" is not a host`);
  if (path.length > maxLength) throw invalid(text, `the repository name is longer than ${maxLength} characters`);
  if (!path.split('/').every((component) => componentPattern.test(component))) {
    throw invalid(text, `"${path}" is not a repository name (lower-case letters, digits, and . _ - between them)`);
  }
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, digestProblem(digest));
  if (digest !== undefined) return { domain, path, tag: undefined, digest };
  return { domain, path, tag: tag ?? 'latest', digest: undefined };
}

/** `domain/path`. */
export function repositoryName(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The full form, as repo_tags and repo_digests show it. */
export function formatReference(reference: ImageReference): string {
  if (reference.digest !== undefined) return `${repositoryName(reference)}@${reference.digest}`;
  return `${repositoryName(reference)}:${reference.tag ?? 'latest'}`;
}

function splitReference(text: string): { name: string; tag: string | undefined; digest: string | undefined } {
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const rest = at === -1 ? text : text.slice(0, at);
  // A colon after the last slash starts the tag; one before it belongs to the host's port.
  const colon = rest.indexOf(':', rest.lastIndexOf('/') + 1);
  if (colon === -1) return { name: rest, tag: undefined, digest };
  return { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest };
}

function splitName(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const firstIsHost = /[.:A-Z[\]]/.test(first) || first === 'localhost';
  if (!firstIsHost) return { domain: 'docker.io', path: slash === -1 ? `library/${name}` : name };
  const path = name.slice(slash + 1);
  const domain = first === 'index.docker.io' ? 'docker.io' : first;
  if (domain === 'docker.io' && !path.includes('/')) return { domain, path: `library/${path}` };
  return { domain, path };
}

function isHost(domain: string): boolean {
  const [, host = '', port] = /^(\[.*\]|.*?)(?::([0-9]+))?$/.exec(domain) ?? [];
  if (!domainPattern.test(domain) || host.length > maxLength) return false;
  if (host.startsWith('[') && !isIPv6(host.slice(1, -1))) return false;
  return port === undefined || (Number(port) >= 1 && Number(port) <= 65535);
}

function digestProblem(digest: string): string {
  const algorithm = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):/.exec(digest)?.[1];
  const known = algorithm === undefined || algorithm === 'sha256';
  return known ? `"${digest}" is not a digest (sha256: and 64 hex digits)` : `its digest is of the algorithm "${algorithm}"; only sha256 is supported`;
}

function invalid(text: string, problem: string): BerthError {
  return new BerthError('INVALID_REFERENCE', `image reference "${text.slice(0, 300)}": ${problem.slice(0, 300)}`);
}
