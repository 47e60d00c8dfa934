/** From a reference to the one image that runs here: index → platform → manifest → config. */

import { digestOf } from '../digest.ts';
import { parseImageConfig } from '../image-config.ts';
import type { ImageConfig } from '../image-config.ts';
import { formatReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import { indexTypes, mediaType, protocolError } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { chooseEntry, parseManifest } from './manifest.ts';
import type { ImageIndex, ImageManifest } from './manifest.ts';
import type { Platform } from './platform.ts';
import type { RegistrySession } from './session.ts';

/** A document to be kept, with the digest it is known by. */
export interface StoredDocument {
  readonly descriptor: Descriptor;
  readonly content: Buffer;
}

export interface RemoteImage {
  /** What the reference's tag or digest names: an index or the manifest itself. */
  readonly target: Descriptor;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  /** Bottom layer first; as many as the config's diff IDs. */
  readonly layers: readonly RemoteLayer[];
  readonly imageConfig: ImageConfig;
  /** The manifest's. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Index (when there is one), manifest and config. */
  readonly documents: readonly StoredDocument[];
}

export interface RemoteLayer {
  readonly descriptor: Descriptor;
  readonly diffId: string;
}

/** An index may point to an index; deeper than this is a loop or a joke. */
const maxIndexDepth = 4;

/**
 * The registry is asked even for a digest whose content is stored: only its answer tells whether
 * these credentials may have the image.
 */
export async function resolveImage(
  session: RegistrySession,
  reference: ImageReference,
  platform: Platform,
  signal: AbortSignal,
): Promise<RemoteImage> {
  const what = formatReference(reference);
  const documents: StoredDocument[] = [];
  let found = await fetchManifest(session, reference.digest ?? reference.tag ?? 'latest', undefined, what, signal);
  const target = found.document.descriptor;
  documents.push(found.document);
  while (found.parsed.kind === 'index') {
    if (documents.length > maxIndexDepth) throw protocolError(what, `indexes are nested more than ${maxIndexDepth} deep`);
    const { descriptor } = chooseEntry(found.parsed, platform, what);
    found = await fetchManifest(session, descriptor.digest, descriptor.size, what, signal);
    documents.push(found.document);
  }
  const { config, layers, annotations } = found.parsed;
  const configContent = await session.first('pull', signal, (client) => client.smallBlob(config, `${what}: image config`, signal));
  if (configContent.length !== config.size) throw wrongSize(`${what}: image config`, config.size, configContent.length);
  documents.push({ descriptor: config, content: configContent });
  const imageConfig = parseImageConfig(configContent, `${what}: image config`);
  return {
    target,
    manifest: found.document.descriptor,
    config,
    layers: pairLayers(layers, imageConfig.diffIds, what),
    imageConfig,
    annotations,
    documents,
  };
}

async function fetchManifest(
  session: RegistrySession,
  target: string,
  size: number | undefined,
  what: string,
  signal: AbortSignal,
): Promise<{ readonly document: StoredDocument; readonly parsed: ImageManifest | ImageIndex }> {
  const isTag = !target.includes(':');
  return session.first(isTag ? 'resolve' : 'pull', signal, async (client) => {
    const { content, contentType } = await client.manifest(target, what, signal);
    const where = `${what}: manifest from ${client.endpoint.host}`;
    if (size !== undefined && content.length !== size) throw wrongSize(where, size, content.length);
    const parsed = parseManifest(content, contentType, where);
    const type = documentType(parsed, contentType, content);
    return { parsed, document: { content, descriptor: { mediaType: type, digest: digestOf(content), size: content.length } } };
  });
}

/** The type that the descriptor in the store's index carries. */
function documentType(parsed: ImageManifest | ImageIndex, contentType: string, content: Buffer): string {
  const own = (JSON.parse(content.toString('utf8')) as { readonly mediaType?: unknown }).mediaType;
  if (typeof own === 'string' && own !== '') return own;
  const header = (contentType.split(';')[0] ?? '').trim().toLowerCase();
  if (parsed.kind === 'index') return indexTypes.has(header) ? header : mediaType.ociIndex;
  return header === mediaType.dockerManifest ? header : mediaType.ociManifest;
}

function pairLayers(layers: readonly Descriptor[], diffIds: readonly string[], what: string): readonly RemoteLayer[] {
  if (layers.length !== diffIds.length) {
    throw protocolError(what, `the manifest has ${layers.length} layers, the image config ${diffIds.length}`);
  }
  return layers.map((descriptor, position) => ({ descriptor, diffId: diffIds[position] ?? '' }));
}

function wrongSize(what: string, expected: number, actual: number): Error {
  return protocolError(what, `it has ${actual} bytes, its descriptor says ${expected}`);
}
