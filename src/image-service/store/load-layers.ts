/** Finds the layers on the disk. What does not hold together is put aside, and pulled again when it is needed. */

import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import { isDigest } from '../digest.ts';
import { parseJsonObject, protocolError } from '../registry/descriptor.ts';
import { bytesBeside } from './layer-store.ts';
import type { LayerRecord, PlacedLayer } from './layer-store.ts';
import { layerRecordFile, layerSkeleton, layerTree } from './paths.ts';
import type { StorePaths } from './paths.ts';
import type { Quarantine } from './quarantine.ts';
import type { Unpacker } from './unpacker.ts';

/** Trees that are counted at once. */
const concurrency = 4;
/** Milliseconds for one tree: millions of files on a slow disk. */
const checkTimeout = 10 * 60_000;

/**
 * `count`: compares each tree with what its record says, by number of inodes and sizes of files. For the start
 * after a crash of the machine, when a disk may have lost what it had confirmed.
 */
export async function loadLayers(paths: StorePaths, unpacker: Unpacker, count: boolean, quarantine: Quarantine, log: Logger): Promise<readonly PlacedLayer[]> {
  const queue = new PQueue({ concurrency });
  const load = async (name: string): Promise<PlacedLayer | undefined> => {
    const directory = join(paths.layers, name);
    try {
      return await loadLayer(directory, name, count ? unpacker : undefined);
    } catch (cause) {
      log.error({ err: cause, path: directory }, 'a stored layer does not load; it is put aside and will be pulled again when needed');
      await quarantine.take(directory);
      return undefined;
    }
  };
  const names = await readdir(paths.layers);
  const loaded = await Promise.all(names.map((name) => queue.add(() => load(name))));
  return loaded.filter((layer) => layer !== undefined);
}

async function loadLayer(directory: string, name: string, unpacker: Unpacker | undefined): Promise<PlacedLayer> {
  const record = parseLayerRecord(await readFile(join(directory, layerRecordFile)), directory);
  if (record.diffId !== `sha256:${name}`) throw protocolError(directory, `its record is of ${record.diffId}`);
  const tree = join(directory, layerTree);
  if (!(await stat(tree)).isDirectory()) throw protocolError(directory, 'it has no tree');
  const besideBytes = await bytesBeside(directory);
  if (unpacker !== undefined) await compare(record, directory, unpacker);
  return { record, besideBytes };
}

async function compare(record: LayerRecord, directory: string, unpacker: Unpacker): Promise<void> {
  const tree = join(directory, layerTree);
  const found = await unpacker.check(tree, AbortSignal.timeout(checkTimeout));
  if (found.inodes !== record.inodes) throw protocolError(tree, `it has ${found.inodes} inodes, its record says ${record.inodes}`);
  if (found.contentBytes !== record.contentBytes) {
    throw protocolError(tree, `its files have ${found.contentBytes} bytes, its record says ${record.contentBytes}`);
  }
  const skeleton = join(directory, layerSkeleton);
  const { size } = await stat(skeleton);
  if (record.skeletonBytes > 0 && size !== record.skeletonBytes) throw protocolError(skeleton, `it has ${size} bytes, its record says ${record.skeletonBytes}`);
}

function parseLayerRecord(content: Uint8Array, what: string): LayerRecord {
  const { digest, diffId, size, tarBytes, skeletonBytes, unpackedBytes, inodes, contentBytes, implied } = parseJsonObject(content, what);
  const count = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  const areDigests = typeof digest === 'string' && isDigest(digest) && typeof diffId === 'string' && isDigest(diffId);
  const tarIsCounted = count(size) && count(tarBytes) && count(skeletonBytes);
  const treeIsCounted = count(unpackedBytes) && count(inodes) && count(contentBytes) && count(implied);
  if (!areDigests || !tarIsCounted || !treeIsCounted) {
    throw protocolError(what, 'its record lacks a field');
  }
  return { digest, diffId, size, tarBytes, skeletonBytes, unpackedBytes, inodes, contentBytes, implied };
}
