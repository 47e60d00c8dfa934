import { availableParallelism } from 'node:os';

import PQueue from 'p-queue';
import type { Logger } from 'pino';

import { invalidField } from '../errors/catalogue.ts';
import type { AttachmentCache } from './attachment-cache.ts';
import type { Attachments, Fallback } from './attachments.ts';
import { startDeadline } from './deadline.ts';
import { runPluginGarbageCollection } from './garbage.ts';
import type { NetworkSelection } from './network-selection.ts';
import type { PluginCaller } from './plugin-call.ts';
import type { PodCidr } from './pod-cidr.ts';
import type { NetworkStatus, PodNetwork, PodNetworkRequest, PodNetworkResult } from './pod-network.ts';
import { capabilityValues } from './runtime-config.ts';
import { SandboxLocks } from './sandbox-locks.ts';
import type { StatusCheck } from './status-check.ts';

export interface PodNetworkParts {
  readonly selection: NetworkSelection;
  readonly statusCheck: StatusCheck;
  readonly attachments: Attachments;
  readonly cache: AttachmentCache;
  readonly caller: PluginCaller;
  readonly podCidr: PodCidr;
  readonly binDirs: readonly string[];
  readonly confDir: string;
  readonly timeoutSeconds: number;
  readonly log: Logger;
}

/** Plugins mostly wait for kernel locks; a few more than there are cores keep the cores busy. */
const minimumConcurrency = 4;

/** The pod network over CNI plugins. */
export class CniPodNetwork implements PodNetwork {
  readonly #parts: PodNetworkParts;
  readonly #locks = new SandboxLocks();
  readonly #queue = new PQueue({ concurrency: Math.max(minimumConcurrency, 2 * availableParallelism()) });
  /** Sandboxes set up since start: `collect` leaves them alone, its list may be older than they are. */
  readonly #ours = new Set<string>();

  constructor(parts: PodNetworkParts) {
    this.#parts = parts;
  }

  status(): NetworkStatus {
    const { selection, statusCheck } = this.#parts;
    const loaded = selection.status;
    const plugins = statusCheck.status;
    return loaded.ready && plugins?.ready === false ? plugins : loaded;
  }

  describe(): unknown {
    const { selection, podCidr, binDirs, confDir } = this.#parts;
    const network = selection.network;
    return {
      network: network?.list.name ?? null,
      cniVersion: network?.list.cniVersion ?? null,
      plugins: network?.list.plugins.map((plugin) => plugin.type) ?? [],
      file: network?.file ?? null,
      origin: network?.origin ?? null,
      invalidFiles: selection.invalid,
      confDir,
      binDirs,
      podCidrs: podCidr.ranges,
      status: this.status(),
    };
  }

  async setUp(request: PodNetworkRequest, signal: AbortSignal): Promise<PodNetworkResult> {
    if (request.netnsPath === '') throw invalidField('netnsPath', 'a pod network needs a network namespace');
    const { attachments, selection, podCidr } = this.#parts;
    this.#ours.add(request.sandboxId);
    try {
      return await this.#exclusive(request.sandboxId, signal, async () => {
        const { list } = selection.usable();
        const capabilities = capabilityValues(request, podCidr.ranges);
        return await attachments.attach(request, list, capabilities, signal);
      });
    } catch (error) {
      this.#ours.delete(request.sandboxId);
      throw error;
    }
  }

  async tearDown(request: PodNetworkRequest, signal: AbortSignal): Promise<void> {
    await this.#exclusive(request.sandboxId, signal, () => this.#parts.attachments.detach(request, this.#fallback(request), signal));
    this.#ours.delete(request.sandboxId);
  }

  async cached(): Promise<readonly string[]> {
    return await this.#parts.cache.ids();
  }

  async collect(valid: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const { cache, selection, caller, timeoutSeconds, log } = this.#parts;
    const keep = new Set(valid);
    const stale = (await cache.ids()).filter((id) => !keep.has(id) && !this.#ours.has(id));
    const outcomes = await Promise.allSettled(stale.map((id) => this.#collectOne(id, signal)));
    const released = stale.filter((_, index) => outcomes[index]?.status === 'fulfilled');
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') log.warn({ err: outcome.reason as unknown, sandboxId: stale[index] }, 'releasing a network attachment that belongs to nobody failed');
    }
    signal.throwIfAborted();
    if (selection.network !== undefined && selection.status.ready) {
      await runPluginGarbageCollection(selection.network.list, cache, caller, startDeadline(timeoutSeconds, signal), log);
    }
    return released;
  }

  async setPodCidr(cidr: string): Promise<void> {
    if (await this.#parts.podCidr.set(cidr)) await this.#parts.selection.reload();
  }

  async close(): Promise<void> {
    await this.#parts.selection.close();
    await this.#parts.statusCheck.close();
    await this.#queue.onIdle();
  }

  async #collectOne(sandboxId: string, signal: AbortSignal): Promise<void> {
    const request = unknownRequest(sandboxId);
    await this.#exclusive(sandboxId, signal, () => this.#parts.attachments.detach(request, this.#fallback(request), signal));
  }

  /** What the present configuration would say of this pod, for a record that cannot be read. */
  #fallback(request: PodNetworkRequest): Fallback | undefined {
    const list = this.#parts.selection.network?.list;
    if (list === undefined) return undefined;
    return { list, capabilities: capabilityValues({ ...request, annotations: {} }, this.#parts.podCidr.ranges) };
  }

  /** The sandbox's lock, then a place in the queue; a caller that gives up while queued leaves it. */
  async #exclusive<T>(sandboxId: string, signal: AbortSignal, operation: () => Promise<T>): Promise<T> {
    return await this.#locks.run(sandboxId, async () => {
      signal.throwIfAborted();
      // The queue must not see the signal once the operation runs: it would report the call as over
      // while the undo is still at work.
      const queued = new AbortController();
      const leave = (): void => queued.abort(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      const start = (): Promise<T> => {
        signal.removeEventListener('abort', leave);
        return operation();
      };
      try {
        return await this.#queue.add(start, { signal: queued.signal });
      } finally {
        signal.removeEventListener('abort', leave);
      }
    });
  }
}

/** For an attachment of which only the id is known; DEL needs no more to release addresses. */
function unknownRequest(sandboxId: string): PodNetworkRequest {
  return {
    sandboxId,
    netnsPath: '',
    podNamespace: '',
    podName: '',
    podUid: '',
    portMappings: [],
    annotations: {},
    cgroupPath: '',
    dns: { servers: [], searches: [], options: [] },
  };
}
