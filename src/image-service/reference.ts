/**
 * Image references: `[host[:port]/]path[:tag][@digest]`.
 *
 * The grammar and the short-name rules are those of the distribution project's reference package,
 * which the whole ecosystem follows: the first component is a host when it holds a dot, a colon or a
 * capital letter, or is `localhost`; everything else lives under docker.io, and single names there
 * under `library/`.
 */

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
const nameMaxLength = 255;

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
  if (!domainPattern.test(domain) || !portIsValid(domain)) throw invalid(text, `"${domain}" is not a host`);
  if (name.length > nameMaxLength) throw invalid(text, `the name is longer than ${nameMaxLength} characters`);
  if (!path.split('/').every((component) => componentPattern.test(component))) {
    throw invalid(text, `"${path}" is not a repository name (lower-case letters, digits, and . _ - between them)`);
  }
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(text, `"${digest}" is not a digest (sha256: and 64 hex digits)`);
  }
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

function portIsValid(domain: string): boolean {
  const port = /:([0-9]+)$/.exec(domain)?.[1];
  return port === undefined || (Number(port) >= 1 && Number(port) <= 65535);
}

function invalid(text: string, problem: string): BerthError {
  return new BerthError('INVALID_REFERENCE', `image reference "${text.slice(0, 300)}": ${problem}`);
}
