import { join } from 'node:path';
import type PQueue from 'p-queue';
import type { Logger } from 'pino';
import type { CdiCatalogue } from '../cdi/catalogue.ts';
import type { Cgroups } from '../cgroup/cgroups.ts';
import type { Config } from '../config/config.ts';
import type { ImageProvider } from '../image-service/images.ts';
import type { PodNetwork } from '../pod-network/pod-network.ts';
import type { Launcher } from '../shim/launcher.ts';
import type { Shim } from '../shim/shim.ts';
import type { LogLosses } from '../shim/status.ts';
import type { ContainerEventResponse } from '../cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import type { ContainerRecord } from '../state/container.ts';
import type { IdIndex } from '../state/ids.ts';
import type { KeyedLock } from '../state/keyed-lock.ts';
import type { NameRegistry } from '../state/name-registry.ts';
import type { RecordStore } from '../state/record-store.ts';
import type { SandboxRecord } from '../state/sandbox.ts';
import type { StreamUrls } from '../streaming/requests.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { RuntimeMetrics } from '../telemetry/runtime-metrics.ts';
import type { EventHub } from './events/event-hub.ts';
import type { Confinement } from './security/confinement.ts';

/** A sandbox in memory. Only `record` changes, and only through state/. */
export interface Sandbox {
  record: SandboxRecord;
  /** It has been asked to stop: no container is made in it any more, however far the stop has come. */
  stopping: boolean;
}

/** A container in memory. */
export interface Container {
  record: ContainerRecord;
  /** While its shim is connected. */
  shim: Shim | undefined;
  /** The stop signal has gone out; later calls only wait. */
  stopSignalSent: boolean;
  /** Its shim's connection broke once and was made anew. */
  reconnected: boolean;
  /** Resolves when the container has become `exited` (also from `creating` or `created`). */
  readonly exited: PromiseWithResolvers<void>;
  /** Log entries that its shim has told to be lost, as far as they are counted. */
  logLosses?: LogLosses;
}

/** Everything that the RPCs of the runtime service share. */
export interface Runtime {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly bootId: string;
  /** Whether pods can have user namespaces here, as tried out at the start. */
  readonly userNamespaces: boolean;
  readonly launcher: Launcher;
  readonly cgroups: Cgroups;
  readonly network: PodNetwork;
  readonly images: ImageProvider;
  readonly cdi: CdiCatalogue;
  readonly confinement: Confinement;
  readonly sandboxes: IdIndex<Sandbox>;
  readonly containers: IdIndex<Container>;
  readonly sandboxStore: RecordStore<SandboxRecord>;
  readonly containerStore: RecordStore<ContainerRecord>;
  readonly sandboxNames: NameRegistry;
  readonly containerNames: NameRegistry;
  readonly locks: KeyedLock;
  readonly metrics: RuntimeMetrics;
  readonly streams: StreamUrls;
  readonly events: EventHub<ContainerEventResponse>;
  /** How many events of its sequence have been said of an object; absent for one that is not to be spoken of. */
  readonly announced: WeakMap<Container | Sandbox, number>;
  /** Bounds launches (sandboxes and containers) at once. */
  readonly launches: PQueue;
  readonly paths: RuntimePaths;
}

export interface RuntimePaths {
  /** Pin files of a sandbox's namespaces, except for the network's. */
  namespaces(sandboxId: string): string;
  netns(sandboxId: string): string;
  /** Bundle, socket and status of a container's shim. */
  shim(containerId: string): string;
}

export function runtimePaths(config: Config): RuntimePaths {
  return {
    namespaces: (id) => join(config.state, 'ns', id),
    netns: (id) => join(config.cni.netnsDir, `berth-${id}`),
    shim: (id) => join(config.state, 'shims', id),
  };
}

/** Names of the runtime handlers; the empty one is the default. */
export const runtimeHandlers: readonly string[] = ['', 'berth'];

/** The containers of a sandbox, in order of creation. */
export function containersOf(runtime: Runtime, sandboxId: string): Container[] {
  return [...runtime.containers.values()].filter((container) => container.record.sandboxId === sandboxId);
}
