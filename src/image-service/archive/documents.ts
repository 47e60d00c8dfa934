/** The small files of an archive. */

import { readFile } from 'node:fs/promises';
import { digestHex, digestOf } from '../digest.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { StoredDocument } from '../registry/resolve.ts';
import { refused } from './spool.ts';
import type { SpooledFile, SpooledFiles } from './spool.ts';

/** Manifests and configs are kilobytes; this is what registries limit them to. */
const maxDocument = 4 * 1024 * 1024;

export async function readDocument(files: SpooledFiles, name: string): Promise<Buffer> {
  const file = files.get(name);
  if (file === undefined) throw refused(`${JSON.stringify(name)} is not in it`);
  if (file.size > maxDocument) throw refused(`${JSON.stringify(name)} has ${file.size} bytes, at most ${maxDocument} are read`);
  return readFile(file.path);
}

export async function readJson(files: SpooledFiles, name: string): Promise<unknown> {
  const content = await readDocument(files, name);
  try {
    return JSON.parse(content.toString('utf8')) as unknown;
  } catch (cause) {
    throw refused(`${JSON.stringify(name)} is not JSON`, cause);
  }
}

/** Where an OCI image layout keeps a blob (image-spec image-layout.md). */
export function blobName(digest: string): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

export function blobFile(files: SpooledFiles, digest: string): SpooledFile | undefined {
  return files.get(blobName(digest));
}

/** A blob of JSON, verified. */
export async function readBlobDocument(files: SpooledFiles, descriptor: Descriptor): Promise<StoredDocument> {
  const content = await readDocument(files, blobName(descriptor.digest));
  if (content.length !== descriptor.size || digestOf(content) !== descriptor.digest) {
    throw refused(`${blobName(descriptor.digest)} is not what its name says`);
  }
  return { descriptor, content };
}
