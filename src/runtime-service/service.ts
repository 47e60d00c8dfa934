import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import { CdiCatalogue } from '../cdi/catalogue.ts';
import type { Cgroups } from '../cgroup/cgroups.ts';
import type { Config } from '../config/config.ts';
import type { RuntimeHandlers } from '../cri-server/handlers.ts';
import type { ImageProvider } from '../image-service/images.ts';
import type { PodNetwork } from '../pod-network/pod-network.ts';
import type { Launcher } from '../shim/launcher.ts';
import { readBootId } from '../state/boot-id.ts';
import { parseContainerRecord } from '../state/container.ts';
import { IdIndex } from '../state/ids.ts';
import { KeyedLock } from '../state/keyed-lock.ts';
import { NameRegistry } from '../state/name-registry.ts';
import { RecordStore } from '../state/record-store.ts';
import { parseSandboxRecord } from '../state/sandbox.ts';
import type { StreamUrls } from '../streaming/requests.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { RuntimeMetrics } from '../telemetry/runtime-metrics.ts';
import { createContainer } from './container/create.ts';
import { execSync } from './container/exec-sync.ts';
import { listContainers } from './container/list.ts';
import { removeContainerRpc } from './container/remove.ts';
import { reopenContainerLog } from './container/reopen-log.ts';
import { updateContainerResources } from './container/update-resources.ts';
import { startContainer } from './container/start.ts';
import { containerStatusRpc } from './container/status.ts';
import { stopContainer } from './container/stop.ts';
import { EventHub } from './events/event-hub.ts';
import { getContainerEvents } from './events/get-container-events.ts';
import { countObjects } from './object-counts.ts';
import { listPodSandbox } from './pod-sandbox/list.ts';
import { removePodSandbox } from './pod-sandbox/remove.ts';
import { runPodSandbox } from './pod-sandbox/run.ts';
import { podSandboxStatus } from './pod-sandbox/status.ts';
import { stopPodSandbox } from './pod-sandbox/stop.ts';
import { updatePodSandboxResources } from './pod-sandbox/update-resources.ts';
import { recover } from './recover.ts';
import { runtimeConfig, updateRuntimeConfig } from './runtime-config.ts';
import { runtimePaths } from './runtime.ts';
import type { Runtime } from './runtime.ts';
import { attach } from './streaming/attach.ts';
import { exec } from './streaming/exec.ts';
import { portForward } from './streaming/port-forward.ts';
import type { Confinement } from './security/confinement.ts';
import { createStats } from './stats/stats.ts';
import { status } from './status.ts';
import { runtimeVersion } from './version.ts';

export interface RuntimeServiceOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly launcher: Launcher;
  readonly cgroups: Cgroups;
  readonly network: PodNetwork;
  readonly images: ImageProvider;
  readonly confinement: Confinement;
  readonly metrics: RuntimeMetrics;
  readonly streams: StreamUrls;
}

export interface RuntimeService {
  readonly handlers: Partial<RuntimeHandlers>;
  /** What all writable layers together take; undefined as long as one of them has not been measured. */
  writableLayers(): Promise<{ readonly bytes: number; readonly inodes: number } | undefined>;
  /** Leaves the containers running. */
  close(): void;
}

/** Events that may wait for one subscriber: more than a full node makes at once. */
const eventLimit = 4096;

/** How long clients whose stream a restart has cut may take to come back and still miss nothing of it. */
const eventReturnWindow = 60_000_000_000n;

/** How long the try may take, in ms. */
const probePatience = 10_000;

async function tryUserNamespaces({ config, launcher, log }: RuntimeServiceOptions): Promise<boolean> {
  try {
    await mkdir(join(config.root, 'layers'), { recursive: true, mode: 0o700 });
    await launcher.probe(join(config.root, 'layers'), AbortSignal.timeout(probePatience));
    return true;
  } catch (cause) {
    log.warn({ reason: cause instanceof Error ? cause.message : String(cause) }, 'pods with user namespaces are not possible here');
    return false;
  }
}

/** Recovers what the machine holds of earlier runs and returns the handlers of the RuntimeService. */
export async function createRuntimeService(options: RuntimeServiceOptions): Promise<RuntimeService> {
  const { config } = options;
  const runtime: Runtime = {
    ...options,
    log: options.log.child({ component: 'runtime' }),
    bootId: await readBootId(),
    userNamespaces: await tryUserNamespaces(options),
    sandboxes: new IdIndex(),
    containers: new IdIndex(),
    sandboxStore: new RecordStore(join(config.root, 'sandboxes'), parseSandboxRecord),
    containerStore: new RecordStore(join(config.root, 'containers'), parseContainerRecord),
    sandboxNames: new NameRegistry(),
    containerNames: new NameRegistry(),
    locks: new KeyedLock(),
    events: new EventHub({ clock: options.clock, observer: options.metrics.events, limit: eventLimit, returnWindow: eventReturnWindow }),
    announced: new WeakMap(),
    cdi: new CdiCatalogue(config.cdi.specDirs, options.log.child({ component: 'cdi' })),
    launches: new PQueue({ concurrency: config.runtime.maxConcurrentLaunches }),
    paths: runtimePaths(config),
  };
  await Promise.all(['ns', 'shims', 'forward'].map((name) => mkdir(join(config.state, name), { recursive: true, mode: 0o700 })));
  await recover(runtime);
  options.metrics.watch(() => countObjects(runtime));
  const stats = createStats(runtime);
  return {
    handlers: { ...runtimeRpcs(runtime), ...stats.handlers },
    writableLayers: () => stats.writableLayers(),
    close() {
      stats.close();
      for (const container of runtime.containers.values()) container.shim?.detach();
    },
  };
}

function runtimeRpcs(runtime: Runtime): Partial<RuntimeHandlers> {
  return {
    Version: runtimeVersion(),
    Status: status(runtime),
    RuntimeConfig: runtimeConfig(runtime),
    UpdateRuntimeConfig: updateRuntimeConfig(runtime),
    RunPodSandbox: runPodSandbox(runtime),
    StopPodSandbox: stopPodSandbox(runtime),
    RemovePodSandbox: removePodSandbox(runtime),
    PodSandboxStatus: podSandboxStatus(runtime),
    ListPodSandbox: listPodSandbox(runtime),
    CreateContainer: createContainer(runtime),
    StartContainer: startContainer(runtime),
    StopContainer: stopContainer(runtime),
    RemoveContainer: removeContainerRpc(runtime),
    ContainerStatus: containerStatusRpc(runtime),
    ListContainers: listContainers(runtime),
    UpdateContainerResources: updateContainerResources(runtime),
    UpdatePodSandboxResources: updatePodSandboxResources(runtime),
    ReopenContainerLog: reopenContainerLog(runtime),
    ExecSync: execSync(runtime),
    Exec: exec(runtime),
    Attach: attach(runtime),
    PortForward: portForward(runtime),
    GetContainerEvents: getContainerEvents(runtime),
  };
}
