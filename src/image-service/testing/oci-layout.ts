/** Writes an OCI image layout (image-spec image-layout.md) that skopeo can copy from. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestHex, digestOf } from '../digest.ts';
import { mediaType } from '../registry/descriptor.ts';
import { hostPlatform } from '../registry/platform.ts';

export interface LayoutLayer {
  readonly packed: Buffer;
  readonly diffId: string;
  readonly mediaType: string;
}

export interface WrittenLayout {
  /** The config's digest. */
  readonly id: string;
  readonly manifestDigest: string;
}

export async function writeOciLayout(
  directory: string,
  layers: readonly LayoutLayer[],
  config: Readonly<Record<string, unknown>>,
): Promise<WrittenLayout> {
  const blobs = join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const blob = async (content: Buffer, type: string): Promise<{ mediaType: string; digest: string; size: number }> => {
    const digest = digestOf(content);
    await writeFile(join(blobs, digestHex(digest)), content);
    return { mediaType: type, digest, size: content.length };
  };
  const document = {
    ...hostPlatform(),
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  };
  const configBlob = await blob(Buffer.from(JSON.stringify(document)), mediaType.ociConfig);
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: configBlob,
    layers: await Promise.all(layers.map((layer) => blob(layer.packed, layer.mediaType))),
  };
  const manifestBlob = await blob(Buffer.from(JSON.stringify(manifest)), mediaType.ociManifest);
  const named = { ...manifestBlob, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  return { id: configBlob.digest, manifestDigest: manifestBlob.digest };
}
