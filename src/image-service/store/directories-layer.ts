/**
 * The layer that lies over all others of an image where some of them have directories which they do not list
 * (berth-unpack's parents.h says why). It depends on the layers alone, so it is known by them.
 */

import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { LayerStore } from './layer-store.ts';
import type { Unpacker } from './unpacker.ts';

/** What stands in for the diff ID. No content has it: it is a digest of digests. */
export function directoriesLayer(diffIds: readonly string[]): string {
  return `sha256:${createHash('sha256').update(`directories of\n${diffIds.join('\n')}\n`).digest('hex')}`;
}

/** A layer that is the image's only one has nothing below it that could say more. */
export function needsDirectoriesLayer(layers: LayerStore, diffIds: readonly string[]): boolean {
  return new Set(diffIds).size > 1 && diffIds.some((diffId) => (layers.record(diffId)?.implied ?? 0) > 0);
}

/** Every layer of the image, the directories' where it is needed among them; bottom first. */
export function allLayers(layers: LayerStore, diffIds: readonly string[]): readonly string[] {
  return needsDirectoriesLayer(layers, diffIds) ? [...diffIds, directoriesLayer(diffIds)] : diffIds;
}

/**
 * A layer that occurs twice counts where it is topmost: everything its lower occurrence could show is
 * covered by the upper one, and overlay refuses the same directory twice with ELOOP.
 */
export function topmostFirst(diffIds: readonly string[]): readonly string[] {
  return [...new Set(diffIds.toReversed())];
}

/** Stages the layer where it is needed and missing; `holder` holds it then. The image's layers are in the store. */
export async function stageDirectories(
  layers: LayerStore,
  unpacker: Unpacker,
  diffIds: readonly string[],
  holder: string,
  signal: AbortSignal,
): Promise<void> {
  const diffId = directoriesLayer(diffIds);
  if (!needsDirectoriesLayer(layers, diffIds)) return;
  if (layers.has(diffId)) {
    layers.hold(diffId, holder);
    return;
  }
  const { directory, tree, skeleton } = await layers.stage(diffId);
  try {
    const trees = topmostFirst(diffIds).map((id) => layers.tree(id));
    const figures = await unpacker.parents(tree, trees, signal);
    // There is no tar that it came from.
    await writeFile(skeleton, '', { mode: 0o600 });
    await layers.adopt({ ...figures, digest: diffId, diffId, size: 0, tarBytes: 0, skeletonBytes: 0, implied: 0 }, directory, holder);
  } catch (failure) {
    await layers.discard(directory);
    throw failure;
  }
}
