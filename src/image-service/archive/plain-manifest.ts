/** The manifest of an image whose layers are uncompressed (image-spec manifest.md). */

import { mediaType } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';

export const layerType = 'application/vnd.oci.image.layer.v1.tar';

/** The same image gives the same bytes, so it has one digest wherever it is exported. */
export function plainManifest(config: Descriptor, layers: readonly Descriptor[], annotations: Readonly<Record<string, string>>): Buffer {
  const plain = ({ mediaType: type, digest, size }: Descriptor): Descriptor => ({ mediaType: type, digest, size });
  const document = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: { ...plain(config), mediaType: mediaType.ociConfig },
    layers: layers.map(plain),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  };
  return Buffer.from(JSON.stringify(document));
}
