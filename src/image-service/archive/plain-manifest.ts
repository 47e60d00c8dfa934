/** Manifests that Berth makes for images whose layers leave it in another form than they came (image-spec manifest.md). */

import { mediaType } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';

export const layerType = 'application/vnd.oci.image.layer.v1.tar';

/** The same layers give the same bytes, so an image has one digest wherever it is exported. */
export function plainManifest(config: Descriptor, layers: readonly Descriptor[], annotations: Readonly<Record<string, string>>): Buffer {
  const plain = ({ mediaType: type, digest, size, urls }: Descriptor): Descriptor => ({ mediaType: type, digest, size, ...(urls !== undefined && { urls }) });
  const document = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: { ...plain(config), mediaType: mediaType.ociConfig },
    layers: layers.map(plain),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  };
  return Buffer.from(JSON.stringify(document));
}
