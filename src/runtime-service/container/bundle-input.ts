import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { lowestOomScore, permittedOomScore } from '../../cgroup/oom-score.ts';
import { BerthError } from '../../errors/catalogue.ts';
import type { ResolvedImage } from '../../image-service/images.ts';
import type { ContainerRecord, StoredContainerConfig } from '../../state/container.ts';
import type { BundleInput } from '../bundle/bundle.ts';
import { grantableCapabilities } from '../bundle/capabilities.ts';
import { requestedCdiDevices } from '../bundle/cdi.ts';
import { normalise } from '../bundle/container-path.ts';
import { containerDevices } from '../bundle/devices.ts';
import { mountedImageIds } from '../bundle/image-mounts.ts';
import type { MountedImages } from '../bundle/image-mounts.ts';
import type { ImageVolume } from '../bundle/mounts.ts';
import { bundleUser, numericOwner } from '../bundle/process.ts';
import { sandboxFiles } from '../pod-sandbox/files.ts';
import { sandboxPins } from '../pod-sandbox/resources.ts';
import { sandboxFile } from '../pod-sandbox/run.ts';
import { sandboxIdMaps } from '../pod-sandbox/user-namespace.ts';
import type { Runtime, Sandbox } from '../runtime.ts';
import { logRate } from './log-rate.ts';
import type { JoinedNamespaces } from './namespaces.ts';
import { containerConfinement } from '../security/confinement.ts';

/** Gathers what the bundle is made of. Changes nothing. */
export async function prepareBundle(
  runtime: Runtime,
  sandbox: Sandbox,
  image: ResolvedImage,
  record: ContainerRecord,
  joined: JoinedNamespaces,
): Promise<BundleInput> {
  const { config, id, sandboxId } = record;
  const privileged = config.linux?.security_context?.privileged ?? false;
  const pins = sandboxPins(runtime, sandbox.record);
  const directory = runtime.containerStore.directoryOf(id);
  const grantable = await grantableCapabilities();
  const edits = await runtime.cdi.edits(requestedCdiDevices(config));
  return {
    id,
    config: await withPermittedOomScore(runtime, record),
    image: image.config,
    hostname: sandbox.record.hostname,
    namespaces: joined.namespaces,
    mounts: {
      hosts: sandboxFile(runtime, sandboxId, sandboxFiles.hosts),
      hostname: sandboxFile(runtime, sandboxId, sandboxFiles.hostname),
      resolvConf: sandboxFile(runtime, sandboxId, sandboxFiles.resolvConf),
      shm: pins.shm === '' ? '/dev/shm' : pins.shm,
      idMaps: sandboxIdMaps(sandbox.record),
      images: mountedImages(runtime, config),
      empty: join(directory, 'volumes', 'empty'),
      volumes: imageVolumes(image, directory),
    },
    devices: await containerDevices({
      requested: config.devices,
      cdiNodes: edits.deviceNodes,
      allOfNode: privileged && !runtime.config.runtime.privilegedWithoutHostDevices,
      owner: numericOwner(bundleUser(config.linux?.security_context ?? null, image.config)),
    }),
    edits,
    cgroup: { path: record.cgroupPath, relative: `/${relative(runtime.cgroups.hierarchy.mountPoint, record.cgroupPath)}` },
    rootfs: { lower: image.layers, upper: join(directory, 'upper'), work: join(directory, 'work') },
    logPath: record.logPath,
    logRate: logRate(sandbox.record.config.annotations, runtime.config.runtime.logRateLimit),
    confinement: await containerConfinement(runtime.confinement, config, grantable),
    grantable,
    maxOpenFiles: await maxOpenFiles(),
  };
}

/** The layers of the images that the container mounts. */
export function mountedImages(runtime: Runtime, config: StoredContainerConfig): MountedImages {
  const layersOf = (id: string): readonly string[] => {
    const image = runtime.images.resolve(id);
    if (image === undefined) throw new BerthError('IMAGE_NOT_FOUND', `ImageVolumeMountFailed: config.mounts: image ${id} is gone`);
    return image.layers;
  };
  return new Map(mountedImageIds(config.mounts).map((id) => [id, layersOf(id)]));
}

/** A directory for each VOLUME of the image, below the container's own. */
function imageVolumes(image: ResolvedImage, directory: string): readonly ImageVolume[] {
  const places = new Set(image.config.volumes.map(normalise).filter((place) => place !== '/'));
  return [...places].map((destination, index) => ({ destination, source: join(directory, 'volumes', String(index)) }));
}

/** Below what berthd may give away, the container's process could not be made at all. */
async function withPermittedOomScore(runtime: Runtime, { id, config }: ContainerRecord): Promise<StoredContainerConfig> {
  const resources = config.linux?.resources ?? null;
  const wanted = Number(resources?.oom_score_adj ?? 0);
  if (config.linux === null || resources === null || wanted >= 0) return config;
  const score = permittedOomScore(wanted, await lowestOomScore(), runtime.log.child({ container: id }));
  return { ...config, linux: { ...config.linux, resources: { ...resources, oom_score_adj: String(score) } } };
}

/** RLIMIT_NOFILE's hard limit of berthd (proc_pid_limits(5)). */
async function maxOpenFiles(): Promise<number> {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(await readFile('/proc/self/limits', 'utf8'))?.[1];
  return hard === undefined || hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard);
}
