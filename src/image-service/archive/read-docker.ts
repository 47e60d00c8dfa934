/**
 * Docker's archive format: manifest.json lists images with the names of their parts
 * (https://github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem Changeset Format").
 */

import { digestOf } from '../digest.ts';
import { parseImageConfig } from '../image-config.ts';
import { asArray, asObject, mediaType } from '../registry/descriptor.ts';
import { formatReference, parseReference } from '../reference.ts';
import type { ArchiveImage } from './archive-image.ts';
import { readDocument, readJson } from './documents.ts';
import { refused } from './spool.ts';
import type { SpooledFiles } from './spool.ts';

export const dockerManifestFile = 'manifest.json';

export async function readDockerArchive(files: SpooledFiles, givenName: string | undefined): Promise<readonly ArchiveImage[]> {
  const entries = asArray(await readJson(files, dockerManifestFile), dockerManifestFile);
  const images: ArchiveImage[] = [];
  for (const [position, entry] of entries.entries()) images.push(await readImage(files, entry, `${dockerManifestFile}[${position}]`, givenName));
  return images;
}

async function readImage(files: SpooledFiles, value: unknown, what: string, givenName: string | undefined): Promise<ArchiveImage> {
  const { Config: configName, RepoTags: tags, Layers: layerNames } = asObject(value, what);
  if (typeof configName !== 'string') throw refused(`${what}: Config is missing`);
  const content = await readDocument(files, configName);
  const imageConfig = parseImageConfig(content, configName);
  const layers = asArray(layerNames ?? [], `${what}: Layers`).map((name) => {
    const file = typeof name === 'string' ? files.get(name) : undefined;
    if (file === undefined) throw refused(`${what}: layer ${JSON.stringify(name)} is not in it`);
    return file;
  });
  if (layers.length !== imageConfig.diffIds.length) {
    throw refused(`${what}: it lists ${layers.length} layers, the image config ${imageConfig.diffIds.length}`);
  }
  const names = asArray(tags ?? [], `${what}: RepoTags`).map((tag) => formatReference(parseReference(String(tag))));
  return {
    config: { content, descriptor: { mediaType: mediaType.ociConfig, digest: digestOf(content), size: content.length } },
    imageConfig,
    names: names.length === 0 && givenName !== undefined ? [givenName] : names,
    layers,
    manifest: undefined,
  };
}
