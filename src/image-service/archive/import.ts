/** Takes the images of an archive into the store, as a pull takes them from a registry. */

import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../errors/catalogue.ts';
import { digestOf } from '../digest.ts';
import type { LayerPuller } from '../layer-pull.ts';
import { parseReference, repositoryName } from '../reference.ts';
import { mediaType } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { Platform } from '../registry/platform.ts';
import type { RemoteImage } from '../registry/resolve.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { StoredImage } from '../store/stored-image.ts';
import type { ArchiveImage } from './archive-image.ts';
import { parseGivenName } from './archive-names.ts';
import { layerType, plainManifest } from './plain-manifest.ts';
import { dockerManifestFile, readDockerArchive } from './read-docker.ts';
import { indexFile, readOciArchive } from './read-oci.ts';
import { refused, spoolArchive } from './spool.ts';
import type { SpooledFile, SpooledFiles } from './spool.ts';

export interface ImportParts {
  readonly store: ImageStore;
  readonly layerPuller: LayerPuller;
  readonly platform: Platform;
}

/**
 * Imports every image of the archive. `givenName` names the only image when the archive does not, and completes
 * names that are bare tags; empty for none. Rejects with ARCHIVE_REFUSED, LAYER_REFUSED or DIGEST_MISMATCH for what
 * the archive is, and then nothing of the image at fault, nor of those behind it, is in the store.
 */
export async function importArchive(
  parts: ImportParts,
  input: AsyncIterable<Buffer>,
  givenName: string,
  signal: AbortSignal,
): Promise<readonly StoredImage[]> {
  const given = parseGivenName(givenName);
  // On the store's file system; what a crash leaves there goes at the next start.
  const directory = await mkdtemp(join(parts.store.paths.staging, 'import-'));
  const holder = `import:${directory}`;
  try {
    const files = await spoolArchive(input, directory, signal);
    const images = await readArchive(files, given, parts.platform);
    const imported: StoredImage[] = [];
    for (const image of images) imported.push(await importImage(parts, image, holder, signal));
    return imported;
  } catch (cause) {
    // The readers of manifests and configs speak of registries.
    if (cause instanceof BerthError && cause.code === 'REGISTRY_PROTOCOL') throw refused(cause.message, cause);
    throw cause;
  } finally {
    parts.store.layers.release(holder);
    await rm(directory, { recursive: true, force: true });
    await parts.store.removeUnused();
  }
}

async function readArchive(
  files: SpooledFiles,
  given: ReturnType<typeof parseGivenName>,
  platform: Platform,
): Promise<readonly ArchiveImage[]> {
  const images = files.has(indexFile)
    ? await readOciArchive(files, { platform, givenName: given.name, repository: given.repository })
    : files.has(dockerManifestFile)
      ? await readDockerArchive(files, given.name)
      : undefined;
  if (images === undefined) throw refused(`it has neither ${indexFile} (OCI) nor ${dockerManifestFile} (Docker)`);
  if (images.length === 0) throw refused('there is no image in it');
  const unnamed = images.find(({ names }) => names.length === 0);
  if (unnamed !== undefined) throw refused(`the image ${unnamed.config.descriptor.digest} has no name; give one`);
  return images;
}

async function importImage(parts: ImportParts, image: ArchiveImage, holder: string, signal: AbortSignal): Promise<StoredImage> {
  const { store, layerPuller } = parts;
  for (const [position, diffId] of image.imageConfig.diffIds.entries()) {
    const what = `${image.names[0]}: layer ${position} (${diffId})`;
    const file = image.layers[position];
    const content = (): AsyncIterable<Buffer> => {
      if (file === undefined) throw refused(`${what} is not in it, nor in the store`);
      return contentOf(file);
    };
    await layerPuller.take({ diffId, holder, what, content }, signal);
  }
  const remote = remoteImage(store, image);
  return store.commit(remote, namesOf(image), signal);
}

function contentOf(file: SpooledFile): AsyncIterable<Buffer> {
  return createReadStream(file.path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
}

/** The manifest's digest is a name, too, unless it is one that only this node knows. */
function namesOf({ names, manifest }: ArchiveImage): readonly string[] {
  if (manifest === undefined) return names;
  const byDigest = names.map((name) => `${repositoryName(parseReference(name))}@${manifest.target.digest}`);
  return [...new Set([...names, ...byDigest])];
}

function remoteImage(store: ImageStore, { config, imageConfig, manifest }: ArchiveImage): RemoteImage {
  const { diffIds } = imageConfig;
  if (manifest !== undefined) {
    const { target, document, indexes, layers, annotations } = manifest;
    return {
      target,
      manifest: document.descriptor,
      config: config.descriptor,
      layers: layers.map((descriptor, position) => ({ descriptor, diffId: diffIds[position] ?? '' })),
      imageConfig,
      annotations,
      documents: [...indexes, document, config],
    };
  }
  const layers = diffIds.map((diffId) => ({ diffId, descriptor: tarDescriptor(store, diffId) }));
  const content = plainManifest(config.descriptor, layers.map(({ descriptor }) => descriptor), {});
  const descriptor = { mediaType: mediaType.ociManifest, digest: digestOf(content), size: content.length };
  return { target: descriptor, manifest: descriptor, config: config.descriptor, layers, imageConfig, annotations: {}, documents: [{ descriptor, content }, config] };
}

/** The layer as an uncompressed tar. */
export function tarDescriptor(store: ImageStore, diffId: string): Descriptor {
  return { mediaType: layerType, digest: diffId, size: store.layers.record(diffId)?.tarBytes ?? 0 };
}
