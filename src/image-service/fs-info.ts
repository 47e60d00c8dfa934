/**
 * ImageFsInfo: what images take, from counters that every change keeps up; nothing is walked.
 *
 * Images are counted as their unpacked layers and documents. The containers' file system is the one
 * that holds their writable layers.
 */

import { mkdir } from 'node:fs/promises';
import type { FilesystemUsage } from '../cri-server/generated/runtime/v1/FilesystemUsage.ts';
import type { ImageFsInfoResponse } from '../cri-server/generated/runtime/v1/ImageFsInfoResponse.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { ImageServiceOptions } from './options.ts';
import type { ImageStore } from './store/image-store.ts';
import type { DiskUsage } from './store/layer-store.ts';

export async function imageFsInfo(store: ImageStore, options: ImageServiceOptions): Promise<ImageFsInfoResponse> {
  // The kubelet looks up the file system of this directory, also before the first container.
  await mkdir(options.containersDir, { recursive: true });
  return {
    image_filesystems: [usage(options.root, store.usage(), options.clock)],
    container_filesystems: [usage(options.containersDir, await options.containerUsage?.(), options.clock)],
  };
}

/** Without figures the fields stay unset: the CRI's wrappers tell zero from unknown. */
function usage(mountpoint: string, used: DiskUsage | undefined, clock: Clock): FilesystemUsage {
  return {
    timestamp: String(clock.nowNanos()),
    fs_id: { mountpoint },
    used_bytes: used === undefined ? null : { value: String(used.bytes) },
    inodes_used: used === undefined ? null : { value: String(used.inodes) },
  };
}
