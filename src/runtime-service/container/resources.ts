import { chmod, chown, mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerRecord } from '../../state/container.ts';
import { releaseEntries } from '../../state/ledger.ts';
import type { LedgerEntry } from '../../state/ledger.ts';
import { emptyLayers, mountedImageIds } from '../bundle/image-mounts.ts';
import type { MountContext } from '../bundle/mounts.ts';
import type { Container, Runtime } from '../runtime.ts';
import { endHungShim } from './hung-shim.ts';
import { killContainer } from './kill.ts';
import type { IdMaps } from '../../shim/launcher.ts';
import { hostIds } from '../pod-sandbox/user-namespace.ts';

export interface WritableLayer {
  readonly upper: string;
  readonly work: string;
}

/**
 * Makes the upper and work directories of a container's overlay. The merged root shows the mode and
 * owner of the upper directory, so it takes those of the image's topmost layer.
 */
export async function makeWritableLayer(directory: string, topLayer: string | undefined, idMaps: IdMaps | null): Promise<WritableLayer> {
  const upper = join(directory, 'upper');
  const work = join(directory, 'work');
  await Promise.all([mkdir(upper, { recursive: true, mode: 0o755 }), mkdir(work, { recursive: true, mode: 0o700 })]);
  if (topLayer !== undefined) {
    const { mode, uid, gid } = await stat(topLayer);
    if ((mode & 0o7777) !== 0o755) await chmod(upper, mode & 0o7777);
    const owner = idMaps === null ? { uid, gid } : hostIds(idMaps, { uid, gid });
    if (owner.uid !== 0 || owner.gid !== 0) await chown(upper, owner.uid, owner.gid);
  }
  return { upper, work };
}

/** The shim gives the volumes the image's content, owner and mode. */
export async function makeVolumes({ volumes, images, empty }: Pick<MountContext, 'volumes' | 'images' | 'empty'>): Promise<void> {
  const sources = volumes.map(({ source }) => source);
  for (const path of images.size > 0 ? [...sources, ...emptyLayers(empty)] : sources) await mkdir(path, { recursive: true, mode: 0o755 });
}

/** Keeps the container's image and those that it mounts. */
export function retainImages(runtime: Runtime, record: ContainerRecord): void {
  runtime.images.retain(record.imageId, record.id, record.layers ?? []);
  for (const id of mountedImageIds(record.config.mounts)) runtime.images.retain(id, record.id, []);
}

function releaseImages(runtime: Runtime, record: ContainerRecord): void {
  for (const id of [record.imageId, ...mountedImageIds(record.config.mounts)]) runtime.images.release(id, record.id);
}

/** Releases the entries of the container's ledger in reverse; returns what could not be released. */
export function releaseContainer(
  runtime: Runtime,
  container: Container,
  entries: readonly LedgerEntry[],
): Promise<{ left: LedgerEntry[]; errors: unknown[] }> {
  const { record } = container;
  const release = async (entry: LedgerEntry, signal: AbortSignal): Promise<void> => {
    if (entry === 'shim') {
      await killContainer(runtime, container);
      // A container without a shim, or whose record was lost, may have processes that nobody supervises.
      await runtime.cgroups.kill(record.cgroupPath);
      await endHungShim(runtime.paths.shim(record.id), record.id, runtime.log);
      await rm(runtime.paths.shim(record.id), { recursive: true, force: true });
    }
    if (entry === 'cgroup') await runtime.cgroups.remove(record.cgroupPath, signal);
    if (entry === 'directory') {
      const directory = runtime.containerStore.directoryOf(record.id);
      await Promise.all(['upper', 'work', 'volumes'].map((part) => rm(join(directory, part), { recursive: true, force: true })));
    }
    if (entry === 'image') releaseImages(runtime, record);
  };
  return releaseEntries(entries, release, runtime.log.child({ container: record.id }), runtime.metrics.releaseFailed);
}
