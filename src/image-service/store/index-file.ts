/**
 * images/index.json: an OCI image index with one entry per name of an image. The annotation
 * `org.opencontainers.image.ref.name` is the image spec's; the others are Berth's own.
 */

import { indexTypes, mediaType, parseDescriptor, parseJsonObject, asArray, asObject } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import { isDigest } from '../digest.ts';
import { protocolError } from '../registry/descriptor.ts';

export interface IndexEntry {
  /** `registry/path:tag` or `registry/path@digest`; undefined for an image that lost all its names and is still used. */
  readonly name: string | undefined;
  /** What the name stands for in the registry: an index or a manifest. */
  readonly target: Descriptor;
  /** The manifest for this node's platform; the target itself where that is a manifest. */
  readonly manifest: Descriptor;
}

const annotation = {
  name: 'org.opencontainers.image.ref.name',
  manifestDigest: 'dev.berth.manifest.digest',
  manifestSize: 'dev.berth.manifest.size',
  manifestType: 'dev.berth.manifest.media-type',
} as const;

export function formatIndex(entries: readonly IndexEntry[]): string {
  const manifests = entries.map(({ name, target, manifest }) => ({
    mediaType: target.mediaType,
    digest: target.digest,
    size: target.size,
    annotations: {
      ...(name === undefined ? {} : { [annotation.name]: name }),
      [annotation.manifestDigest]: manifest.digest,
      [annotation.manifestSize]: String(manifest.size),
      [annotation.manifestType]: manifest.mediaType,
    },
  }));
  return `${JSON.stringify({ schemaVersion: 2, mediaType: mediaType.ociIndex, manifests }, undefined, 2)}\n`;
}

export interface ParsedIndex {
  readonly entries: readonly IndexEntry[];
  /** Entries that are not understood, with the reason. */
  readonly bad: readonly { readonly entry: unknown; readonly reason: Error }[];
}

/** Throws when the file as a whole is not an index. */
export function parseIndex(content: Uint8Array, what: string): ParsedIndex {
  const document = parseJsonObject(content, what);
  const entries: IndexEntry[] = [];
  const bad: { entry: unknown; reason: Error }[] = [];
  for (const [position, value] of asArray(document['manifests'], `${what}: manifests`).entries()) {
    try {
      entries.push(parseEntry(value, `${what}: manifests[${position}]`));
    } catch (reason) {
      bad.push({ entry: value, reason: reason instanceof Error ? reason : new Error(String(reason)) });
    }
  }
  return { entries, bad };
}

function parseEntry(value: unknown, what: string): IndexEntry {
  const target = parseDescriptor(value, what);
  const notes = asObject(asObject(value, what)['annotations'] ?? {}, `${what}.annotations`);
  const name = notes[annotation.name];
  if (name !== undefined && typeof name !== 'string') throw protocolError(what, 'its name is not a string');
  const digest = notes[annotation.manifestDigest];
  if (digest === undefined && !indexTypes.has(target.mediaType)) return { name, target, manifest: target };
  if (typeof digest !== 'string' || !isDigest(digest)) throw protocolError(what, 'it does not say which manifest was chosen');
  const manifest = parseDescriptor(
    { digest, size: Number(notes[annotation.manifestSize]), mediaType: notes[annotation.manifestType] },
    `${what}.annotations`,
  );
  return { name, target, manifest };
}
