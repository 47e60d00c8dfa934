/** An OCI image layout in a tar (image-spec image-layout.md). */

import { parseImageConfig } from '../image-config.ts';
import { asArray, asObject, indexTypes, manifestTypes, parseDescriptor } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import { chooseEntry, parseManifest } from '../registry/manifest.ts';
import type { Platform } from '../registry/platform.ts';
import type { StoredDocument } from '../registry/resolve.ts';
import type { ArchiveImage } from './archive-image.ts';
import { nameOfEntry } from './archive-names.ts';
import { blobFile, readBlobDocument, readJson } from './documents.ts';
import { refused } from './spool.ts';
import type { SpooledFiles } from './spool.ts';

export const indexFile = 'index.json';

const maxIndexDepth = 4;

export interface OciReading {
  readonly platform: Platform;
  /** For the only image, when it has no name. */
  readonly givenName: string | undefined;
  /** For names that are bare tags. */
  readonly repository: string | undefined;
}

export async function readOciArchive(files: SpooledFiles, reading: OciReading): Promise<readonly ArchiveImage[]> {
  const entries = asArray(asObject(await readJson(files, indexFile), indexFile)['manifests'] ?? [], `${indexFile}: manifests`);
  const named = new Map<string, { readonly descriptor: Descriptor; readonly names: string[] }>();
  for (const [position, value] of entries.entries()) {
    const what = `${indexFile}: manifests[${position}]`;
    const descriptor = parseDescriptor(value, what);
    if (!indexTypes.has(descriptor.mediaType) && !manifestTypes.has(descriptor.mediaType)) continue;
    const known = named.get(descriptor.digest) ?? { descriptor, names: [] };
    const name = nameOfEntry(asObject(asObject(value, what)['annotations'] ?? {}, what), reading.repository);
    if (name !== undefined) known.names.push(name);
    named.set(descriptor.digest, known);
  }
  const images: ArchiveImage[] = [];
  for (const { descriptor, names } of named.values()) {
    const given = names.length === 0 && named.size === 1 && reading.givenName !== undefined ? [reading.givenName] : names;
    images.push(await readImage(files, descriptor, given, reading.platform));
  }
  return images;
}

async function readImage(files: SpooledFiles, target: Descriptor, names: readonly string[], platform: Platform): Promise<ArchiveImage> {
  const what = names[0] ?? target.digest;
  const indexes: StoredDocument[] = [];
  let document = await readBlobDocument(files, target);
  let parsed = parseManifest(document.content, document.descriptor.mediaType, what);
  while (parsed.kind === 'index') {
    if (indexes.length === maxIndexDepth) throw refused(`${what}: indexes are nested more than ${maxIndexDepth} deep`);
    indexes.push(document);
    document = await readBlobDocument(files, chooseEntry(parsed, platform, what).descriptor);
    parsed = parseManifest(document.content, document.descriptor.mediaType, what);
  }
  const config = await readBlobDocument(files, parsed.config);
  const imageConfig = parseImageConfig(config.content, `${what}: image config`);
  if (imageConfig.diffIds.length !== parsed.layers.length) {
    throw refused(`${what}: the manifest has ${parsed.layers.length} layers, the image config ${imageConfig.diffIds.length}`);
  }
  return {
    config,
    imageConfig,
    names,
    layers: parsed.layers.map(({ digest }) => blobFile(files, digest)),
    manifest: { target, document, indexes, layers: parsed.layers, annotations: parsed.annotations },
  };
}
