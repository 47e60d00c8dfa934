/**
 * Writes images into a tar that is an OCI image layout and a Docker archive at once, as `docker save` does: skopeo,
 * podman, containerd and Docker read it. Layers go out as the very tars they came from, so the image keeps its id.
 */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { Pack } from 'tar-stream';
import { BerthError } from '../../errors/catalogue.ts';
import { digestOf } from '../digest.ts';
import { parseReference } from '../reference.ts';
import { mediaType } from '../registry/descriptor.ts';
import { readBlob } from '../store/blob-store.ts';
import type { ImageStore } from '../store/image-store.ts';
import { isTag } from '../store/stored-image.ts';
import type { StoredImage } from '../store/stored-image.ts';
import { blobName } from './documents.ts';
import { tarDescriptor } from './import.ts';
import { hasTar, layerTar } from './layer-tar.ts';
import type { TarParts } from './layer-tar.ts';
import { plainManifest } from './plain-manifest.ts';
import { dockerManifestFile } from './read-docker.ts';
import { indexFile } from './read-oci.ts';

export type ExportParts = TarParts;

/** 2001-01-01: the same images give the same archive. */
const mtime = new Date(978_307_200_000);

let exports = 0;

/**
 * The archive, in pieces. Throws IMAGE_NOT_FOUND and NOT_EXPORTABLE before the first; DIGEST_MISMATCH at the end of a
 * layer that is not what it was, and then the archive is cut off and cannot be mistaken for a whole one.
 */
export async function* exportImages(parts: ExportParts, references: readonly string[], signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const { store } = parts;
  const images = references.map((reference) => findImage(store, reference));
  for (const image of images) requireSkeletons(store, image);
  exports += 1;
  const holder = `export:${exports}`;
  for (const { layers } of images) for (const { diffId } of layers) store.layers.hold(diffId, holder);
  const archive = pack();
  const written = writeArchive(parts, archive, new Map(images.map((image) => [image.id, image])), signal).catch((failure: unknown) => {
    archive.destroy(failure instanceof Error ? failure : new Error(String(failure)));
  });
  try {
    yield* archive as AsyncIterable<Buffer>;
  } finally {
    archive.destroy();
    await written;
    store.layers.release(holder);
    await store.removeUnused();
  }
}

function findImage(store: ImageStore, reference: string): StoredImage {
  const image = store.index.find(reference);
  if (image === undefined) throw new BerthError('IMAGE_NOT_FOUND', `image "${reference}" is not on this node`);
  return image;
}

function requireSkeletons(store: ImageStore, image: StoredImage): void {
  for (const { diffId } of image.layers) {
    if (hasTar(store, diffId)) continue;
    throw new BerthError('NOT_EXPORTABLE', `image ${image.id}: the tar of its layer ${diffId} is of a kind that cannot be made again`);
  }
}

async function writeArchive(parts: ExportParts, archive: Pack, images: ReadonlyMap<string, StoredImage>, signal: AbortSignal): Promise<void> {
  const { store } = parts;
  putFile(archive, 'oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  const blobs = new Set<string>();
  const index: object[] = [];
  const docker: object[] = [];
  for (const image of images.values()) {
    const config = await readBlob(store.paths, image.config);
    const layers = image.layers.map(({ diffId }) => tarDescriptor(store, diffId));
    const manifest = plainManifest(image.config, layers, image.annotations);
    const descriptor = { mediaType: mediaType.ociManifest, digest: digestOf(manifest), size: manifest.length };
    for (const { digest, size } of layers) {
      if (blobs.has(digest)) continue;
      blobs.add(digest);
      await putLayer(parts, archive, digest, size, signal);
    }
    for (const [digest, content] of [[image.config.digest, config], [descriptor.digest, manifest]] as const) {
      if (!blobs.has(digest)) putFile(archive, blobName(digest), content);
      blobs.add(digest);
    }
    const tags = [...image.names.keys()].filter(isTag);
    index.push(...indexEntries(descriptor, tags));
    docker.push({ Config: blobName(image.config.digest), RepoTags: tags, Layers: layers.map(({ digest }) => blobName(digest)) });
  }
  putFile(archive, indexFile, json({ schemaVersion: 2, mediaType: mediaType.ociIndex, manifests: index }));
  putFile(archive, dockerManifestFile, json(docker));
  archive.finalize();
}

function indexEntries(descriptor: object, tags: readonly string[]): readonly object[] {
  if (tags.length === 0) return [descriptor];
  return tags.map((name) => ({
    ...descriptor,
    annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': parseReference(name).tag },
  }));
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function putFile(archive: Pack, name: string, content: Buffer): void {
  archive.entry({ name, mode: 0o644, mtime }, content);
}

async function putLayer(parts: ExportParts, archive: Pack, diffId: string, size: number, signal: AbortSignal): Promise<void> {
  const tar = Readable.from(layerTar(parts, diffId, signal), { objectMode: false });
  await pipeline(tar, archive.entry({ name: blobName(diffId), mode: 0o644, mtime, size }));
}
