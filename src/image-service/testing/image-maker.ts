/** Makes small images for tests, layer bytes included. */

import { gzipSync } from 'node:zlib';
import { digestOf } from '../digest.ts';
import { mediaType } from '../registry/descriptor.ts';
import { hostPlatform } from '../registry/platform.ts';
import type { FakeRegistry } from './fake-registry.ts';

export interface MadeLayer {
  readonly tar: Buffer;
  readonly packed: Buffer;
  readonly digest: string;
  readonly diffId: string;
}

export interface MadeImage {
  readonly id: string;
  readonly manifestDigest: string;
  readonly layers: readonly MadeLayer[];
}

/** One file per entry, in ustar form. */
export function makeLayer(files: Readonly<Record<string, string>>): MadeLayer {
  const tar = Buffer.concat([...Object.entries(files).map(([name, content]) => tarEntry(name, content)), Buffer.alloc(1024)]);
  const packed = gzipSync(tar);
  return { tar, packed, digest: digestOf(packed), diffId: digestOf(tar) };
}

function tarEntry(name: string, content: string): Buffer {
  const header = Buffer.alloc(512);
  const body = Buffer.from(content);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

export interface ImageOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Puts an image into the registry, as a plain OCI manifest. */
export function putImage(
  registry: FakeRegistry,
  repository: string,
  tag: string,
  layers: readonly MadeLayer[],
  options: ImageOptions = {},
): MadeImage {
  const config = Buffer.from(
    JSON.stringify({
      ...hostPlatform(),
      config: options.config ?? {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  );
  for (const layer of layers) registry.blob(layer.packed);
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: { mediaType: mediaType.ociConfig, digest: registry.blob(config), size: config.length },
    layers: layers.map(({ digest, packed }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest,
      size: packed.length,
    })),
    annotations: options.annotations ?? {},
  };
  const content = Buffer.from(JSON.stringify(manifest));
  const manifestDigest = registry.manifest(repository, tag, content, mediaType.ociManifest);
  return { id: digestOf(config), manifestDigest, layers };
}
