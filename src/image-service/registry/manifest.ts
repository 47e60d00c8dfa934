/** Image indexes and manifests, OCI (image-spec manifest.md, image-index.md) and Docker schema 2. */

import { BerthError } from '../../errors/catalogue.ts';
import {
  asArray,
  asObject,
  indexTypes,
  manifestTypes,
  mediaType,
  parseDescriptor,
  parseJsonObject,
  printable,
  protocolError,
} from './descriptor.ts';
import type { Descriptor, JsonObject } from './descriptor.ts';
import { formatPlatform, platformRank } from './platform.ts';
import type { Platform } from './platform.ts';

export interface ImageManifest {
  readonly kind: 'manifest';
  readonly config: Descriptor;
  /** Bottom layer first. */
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly entries: readonly IndexEntry[];
}

export interface IndexEntry {
  readonly descriptor: Descriptor;
  /** Undefined: the index does not say. */
  readonly platform: Platform | undefined;
}

/** A manifest has a config and layers; more layers than this no kernel can stack. */
const maxLayers = 500;

/**
 * Parses what a registry sent for a manifest URL. The document's own mediaType counts, then the
 * Content-Type header, then its shape: all three are seen missing in the field. A document with both
 * `manifests` and `layers` is refused, since two readers could see two images in it (CVE-2021-41190).
 */
export function parseManifest(content: Uint8Array, contentType: string, what: string): ImageManifest | ImageIndex {
  const document = parseJsonObject(content, what);
  if ('manifests' in document && ('layers' in document || 'config' in document)) {
    throw protocolError(what, 'it is a manifest and an index at once');
  }
  if (document['schemaVersion'] === 1) {
    throw protocolError(what, 'its schema version is 1, which Docker has given up; only 2 is supported: push the image again with a current client');
  }
  if (document['schemaVersion'] !== 2) {
    throw protocolError(what, `schema version ${JSON.stringify(document['schemaVersion'])} is not supported, only 2`);
  }
  const type = manifestType(document, contentType);
  if (indexTypes.has(type)) return parseIndex(document, what);
  if (manifestTypes.has(type)) return parseImageManifest(document, what);
  throw protocolError(what, `media type "${type}" is neither an image manifest nor an index`);
}

function manifestType(document: JsonObject, contentType: string): string {
  const own = document['mediaType'];
  if (typeof own === 'string' && own !== '') return own;
  const header = (contentType.split(';')[0] ?? '').trim().toLowerCase();
  if (indexTypes.has(header) || manifestTypes.has(header)) return header;
  return 'manifests' in document ? mediaType.ociIndex : mediaType.ociManifest;
}

function parseIndex(document: JsonObject, what: string): ImageIndex {
  const entries = asArray(document['manifests'], `${what}: manifests`).map((value, position) => {
    const field = `${what}: manifests[${position}]`;
    const descriptor = parseDescriptor(value, field);
    return { descriptor, platform: parsePlatform(asObject(value, field)['platform'], `${field}.platform`) };
  });
  return { kind: 'index', entries };
}

function parsePlatform(value: unknown, what: string): Platform | undefined {
  if (value === undefined || value === null) return undefined;
  const { os, architecture, variant } = asObject(value, what);
  if (typeof os !== 'string' || typeof architecture !== 'string') throw protocolError(what, 'os or architecture is missing');
  return { os, architecture, variant: typeof variant === 'string' ? variant : '' };
}

function parseImageManifest(document: JsonObject, what: string): ImageManifest {
  const config = parseDescriptor(document['config'], `${what}: config`);
  if (config.mediaType !== mediaType.ociConfig && config.mediaType !== mediaType.dockerConfig) {
    throw protocolError(what, `its config is of type "${config.mediaType}", so this is not a container image`);
  }
  const layers = asArray(document['layers'], `${what}: layers`);
  if (layers.length > maxLayers) throw protocolError(what, `it has ${layers.length} layers; at most ${maxLayers} can be mounted`);
  return {
    kind: 'manifest',
    config,
    layers: layers.map((value, position) => parseLayer(value, `${what}: layers[${position}]`)),
    annotations: parseAnnotations(document['annotations'] ?? {}, `${what}: annotations`),
  };
}

function parseAnnotations(value: unknown, what: string): Readonly<Record<string, string>> {
  const annotations: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, content] of Object.entries(asObject(value, what))) {
    if (typeof content !== 'string') throw protocolError(what, `"${key}" is not a string`);
    annotations[key] = content;
  }
  return annotations;
}

const layerTypePattern =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar)(?:[.+](?:gzip|zstd))?$/;

/** The compression is told from the bytes, so the type only has to be a layer's. */
function parseLayer(value: unknown, what: string): Descriptor {
  const descriptor = parseDescriptor(value, what);
  if (!layerTypePattern.test(descriptor.mediaType)) {
    throw protocolError(what, `media type "${descriptor.mediaType}" is not a layer that can be unpacked`);
  }
  const urls = parseUrls(asObject(value, what)['urls'] ?? [], `${what}: urls`);
  return urls.length === 0 ? descriptor : { ...descriptor, urls };
}

/** More than anybody needs, and few enough to ask one after the other. */
const maxUrls = 16;

function parseUrls(value: unknown, what: string): readonly string[] {
  const urls = asArray(value, what);
  if (urls.length > maxUrls) throw protocolError(what, `there are ${urls.length}; at most ${maxUrls} are read`);
  return urls.map((url) => {
    if (typeof url === 'string') return url;
    throw protocolError(what, 'one is not a string');
  });
}

/** The best entry for the platform; the first one wins among equals, as the image spec says. */
export function chooseEntry(index: ImageIndex, platform: Platform, what: string): IndexEntry {
  let best: IndexEntry | undefined;
  let bestRank = 0;
  for (const entry of index.entries) {
    if (!manifestTypes.has(entry.descriptor.mediaType) && !indexTypes.has(entry.descriptor.mediaType)) continue;
    const rank = entry.platform === undefined ? 0 : platformRank(platform, entry.platform);
    if (rank > bestRank) [best, bestRank] = [entry, rank];
  }
  best ??= index.entries.find((entry) => entry.platform === undefined && manifestTypes.has(entry.descriptor.mediaType));
  if (best !== undefined) return best;
  const offered = index.entries.flatMap((entry) => (entry.platform === undefined ? [] : [formatPlatform(entry.platform)]));
  throw new BerthError('REGISTRY_NOT_FOUND', `${what}: it has no image for ${formatPlatform(platform)}, only for ${printable(offered.join(', ')) || 'nothing'}`);
}
