/**
 * Where the store keeps what. All of it is on one file system, so that a rename moves things into
 * place:
 *
 *   ROOT/images/oci-layout, index.json      an OCI image layout (image-spec image-layout.md)
 *   ROOT/images/blobs/sha256/HEX            indexes, manifests and configs; layers are not kept packed
 *   ROOT/images/quarantine/                 what did not load or was found damaged
 *   ROOT/layers/sha256/HEX/fs               a layer in overlay form, HEX being its diff ID
 *   ROOT/layers/sha256/HEX/skeleton         its tar without the files' contents, so that it can be exported
 *   ROOT/layers/sha256/HEX/layer.json       its record
 *   ROOT/images/reserve                     space for a new index when the disk is full
 *   ROOT/images/running                     the boot in which the store is, or was last, open
 *   ROOT/images/mending                     since when layers without an image wait to be named again
 *   ROOT/staging/                           unfinished; emptied at every start
 *   ROOT/trash/                             being deleted; emptied at every start
 */

import { join } from 'node:path';
import { digestHex } from '../digest.ts';

export interface StorePaths {
  readonly root: string;
  readonly images: string;
  readonly layout: string;
  readonly index: string;
  /** The index before the last change, in case the last one does not load. */
  readonly previousIndex: string;
  readonly blobs: string;
  /** Given up when the disk is full, so that images can be removed all the same. */
  readonly reserve: string;
  /** Holds the boot id while the store is open. */
  readonly running: string;
  /** See mending.ts. */
  readonly mending: string;
  readonly quarantine: string;
  readonly layers: string;
  readonly staging: string;
  readonly trash: string;
}

export function storePaths(root: string): StorePaths {
  const images = join(root, 'images');
  return {
    root,
    images,
    layout: join(images, 'oci-layout'),
    index: join(images, 'index.json'),
    previousIndex: join(images, 'index.previous.json'),
    blobs: join(images, 'blobs', 'sha256'),
    reserve: join(images, 'reserve'),
    running: join(images, 'running'),
    mending: join(images, 'mending'),
    quarantine: join(images, 'quarantine'),
    layers: join(root, 'layers', 'sha256'),
    staging: join(root, 'staging'),
    trash: join(root, 'trash'),
  };
}

export function blobPath(paths: StorePaths, digest: string): string {
  return join(paths.blobs, digestHex(digest));
}

export function layerPath(paths: StorePaths, diffId: string): string {
  return join(paths.layers, digestHex(diffId));
}

/** The directory that overlay is given. */
export const layerTree = 'fs';
/** See native/unpack/skeleton.h. */
export const layerSkeleton = 'skeleton';
export const layerRecordFile = 'layer.json';
