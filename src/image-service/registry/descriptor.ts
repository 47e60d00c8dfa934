/** OCI content descriptors (image-spec descriptor.md) and the media types that Berth understands. */

import { BerthError } from '../../errors/catalogue.ts';
import { isDigest } from '../digest.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** Of a layer: where else its bytes are, for instance because its registry may not have them. */
  readonly urls?: readonly string[];
}

export const mediaType = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

export const manifestAccept: readonly string[] = [
  mediaType.ociIndex,
  mediaType.ociManifest,
  mediaType.dockerList,
  mediaType.dockerManifest,
];

export const indexTypes: ReadonlySet<string> = new Set([mediaType.ociIndex, mediaType.dockerList]);
export const manifestTypes: ReadonlySet<string> = new Set([mediaType.ociManifest, mediaType.dockerManifest]);

/** A compressed layer may be larger than this only where a registry lies. */
const maxLayerBytes = 2 ** 42;

/** Layers whose licence lets only their owner hand them out, "foreign" ones in Docker's words (image-spec layer.md). */
export function isNonDistributable(type: string): boolean {
  return /\.(?:nondistributable|foreign)\./.test(type);
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** A manifest, index or config that is not what its specification says. */
export function protocolError(what: string, problem: string): BerthError {
  return new BerthError('REGISTRY_PROTOCOL', `${what}: ${printable(problem)}`);
}

/** Characters of a stranger's words that an error repeats: it is a line of a log. */
const maxWords = 500;

/** What a stranger wrote, fit for a log and a terminal. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what must not get there
  const clean = text.slice(0, maxWords).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  return text.length > maxWords ? `${clean} …` : clean;
}

/** The specifications' own documents need ten; whoever walks through a document later does it by recursion. */
const maxNesting = 100;

export function parseJsonObject(content: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(content);
    if (nesting(text) > maxNesting) throw new Error(`it nests more than ${maxNesting} levels deep`);
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw protocolError(what, `it is not JSON: ${reason}`);
  }
  return asObject(value, what);
}

/** How deep brackets are nested outside of strings. */
function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (inString && character === '\\') at += 1;
    else if (character === '"') inString = !inString;
    else if (!inString && (character === '{' || character === '[')) deepest = Math.max(deepest, (depth += 1));
    else if (!inString && (character === '}' || character === ']')) depth -= 1;
  }
  return deepest;
}

export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw protocolError(what, 'it is not a JSON object');
  return value as JsonObject;
}

export function asArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw protocolError(what, 'it is not an array');
  return value;
}

export function parseDescriptor(value: unknown, what: string): Descriptor {
  const { mediaType: type, digest, size } = asObject(value, what);
  if (typeof type !== 'string') throw protocolError(what, 'mediaType is not a string');
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw protocolError(what, `digest is not sha256: and 64 hex digits`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > maxLayerBytes) {
    throw protocolError(what, 'size is not a length in bytes');
  }
  return { mediaType: type, digest, size };
}
