/** Builds OCI images in memory: layers, config, manifest, index. Deterministic: same input, same digests. */

import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { writeTar } from './tar-writer.ts';
import type { TarEntry } from './tar-writer.ts';

export interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export type Compression = 'gzip' | 'zstd' | 'none';

export interface BuiltLayer extends Blob {
  readonly diffId: string;
  readonly mediaType: string;
}

/** The `config` object of an OCI image config, in its own spelling. */
export interface RunConfig {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

export interface BuiltImage {
  readonly manifest: Blob & { readonly mediaType: string };
  /** The image id: the digest of the config. */
  readonly id: string;
  readonly config: Blob;
  readonly layers: readonly BuiltLayer[];
}

export interface BuiltIndex {
  readonly manifest: Blob & { readonly mediaType: string };
  readonly images: readonly BuiltImage[];
}

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

/** When every file and image of the tests was made. */
export const EPOCH = 1_700_000_000;

export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function blobOf(bytes: Buffer): Blob {
  return { digest: digestOf(bytes), bytes };
}

export function buildLayer(entries: readonly TarEntry[], compression: Compression = 'gzip'): BuiltLayer {
  return layerOfTar(writeTar(entries), compression);
}

export function layerOfTar(tar: Buffer, compression: Compression): BuiltLayer {
  const suffix = { gzip: '+gzip', zstd: '+zstd', none: '' }[compression];
  const bytes = compression === 'gzip' ? gzipSync(tar, { level: 6 }) : compression === 'zstd' ? zstdCompressSync(tar) : tar;
  return { ...blobOf(bytes), diffId: digestOf(tar), mediaType: `${mediaTypes.layer}${suffix}` };
}

export interface ImageOptions {
  readonly architecture?: string;
  /** Docker's media types (schema 2) in place of OCI's. */
  readonly docker?: boolean;
  /** Lies about the layers' uncompressed digests. */
  readonly diffIds?: readonly string[];
}

export function buildImage(layers: readonly BuiltLayer[], run: RunConfig = {}, options: ImageOptions = {}): BuiltImage {
  const config = blobOf(
    json({
      created: new Date(EPOCH * 1000).toISOString(),
      architecture: options.architecture ?? 'amd64',
      os: 'linux',
      config: { Env: [DEFAULT_PATH], ...run },
      rootfs: { type: 'layers', diff_ids: options.diffIds ?? layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: new Date(EPOCH * 1000).toISOString(), created_by: 'berth conformance' })),
    }),
  );
  const docker = options.docker === true;
  const mediaType = docker ? mediaTypes.dockerManifest : mediaTypes.manifest;
  const manifest = blobOf(
    json({
      schemaVersion: 2,
      mediaType,
      config: descriptor(config, docker ? mediaTypes.dockerConfig : mediaTypes.config),
      layers: layers.map((layer) => descriptor(layer, docker ? mediaTypes.dockerLayer : layer.mediaType)),
    }),
  );
  return { manifest: { ...manifest, mediaType }, id: config.digest, config, layers };
}

export function buildIndex(images: readonly { readonly image: BuiltImage; readonly architecture: string }[]): BuiltIndex {
  const manifest = blobOf(
    json({
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: images.map(({ image, architecture }) => ({
        ...descriptor(image.manifest, image.manifest.mediaType),
        platform: { architecture, os: 'linux' },
      })),
    }),
  );
  return { manifest: { ...manifest, mediaType: mediaTypes.index }, images: images.map(({ image }) => image) };
}

export function descriptor(blob: Blob, mediaType: string): Descriptor {
  return { mediaType, digest: blob.digest, size: blob.bytes.length };
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
