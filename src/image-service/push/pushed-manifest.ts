/** The manifest under which a pushed image is known. */

import { plainManifest } from '../archive/plain-manifest.ts';
import { digestOf } from '../digest.ts';
import { mediaType } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { StoredDocument } from '../registry/resolve.ts';
import { readBlob } from '../store/blob-store.ts';
import type { StorePaths } from '../store/paths.ts';
import type { StoredImage } from '../store/stored-image.ts';

/**
 * The image's own, byte for byte, when the registry has its layers as they were pulled; otherwise an OCI manifest of
 * what it has. `layers` are as many as the image's.
 */
export async function pushedManifest(paths: StorePaths, image: StoredImage, layers: readonly Descriptor[]): Promise<StoredDocument> {
  if (image.layers.every(({ descriptor }, position) => descriptor.digest === layers[position]?.digest)) {
    return { descriptor: image.manifest, content: await readBlob(paths, image.manifest) };
  }
  const content = plainManifest(image.config, layers.map(inOci), image.annotations);
  return { content, descriptor: { mediaType: mediaType.ociManifest, digest: digestOf(content), size: content.length } };
}

const dockerLayer = /^application\/vnd\.docker\.image\.rootfs\.(foreign\.)?diff\.tar(?:[.+](gzip|zstd))?$/;

/** Docker's names for layers have no place in an OCI manifest. */
function inOci(descriptor: Descriptor): Descriptor {
  const match = dockerLayer.exec(descriptor.mediaType);
  if (match === null) return descriptor;
  const [, foreign, compression] = match;
  const kind = foreign === undefined ? '' : 'nondistributable.';
  return { ...descriptor, mediaType: `application/vnd.oci.image.layer.${kind}v1.tar${compression === undefined ? '' : `+${compression}`}` };
}
