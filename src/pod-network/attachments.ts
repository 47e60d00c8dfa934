import type { Logger } from 'pino';

import { BerthError, wrapError } from '../errors/catalogue.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { Attachment, AttachmentCache } from './attachment-cache.ts';
import { attachmentEnvironment, interfaceName, podName } from './cni-args.ts';
import { resultAddresses } from './cni-result.ts';
import { startDeadline } from './deadline.ts';
import type { NetworkList } from './network-list.ts';
import type { PluginChain } from './plugin-chain.ts';
import type { PodNetworkRequest, PodNetworkResult } from './pod-network.ts';
import type { CapabilityValues } from './runtime-config.ts';

/** What a DEL uses where the cache has nothing usable. */
export interface Fallback {
  readonly list: NetworkList;
  readonly capabilities: CapabilityValues;
}

export interface AttachmentsOptions {
  readonly cache: AttachmentCache;
  readonly chain: PluginChain;
  readonly clock: Clock;
  readonly timeoutSeconds: number;
  readonly log: Logger;
}

/** Attaches and detaches one pod, with the ledger around it. The caller sees to one call a sandbox. */
export class Attachments {
  readonly #options: AttachmentsOptions;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  async attach(request: PodNetworkRequest, list: NetworkList, capabilities: CapabilityValues, signal: AbortSignal): Promise<PodNetworkResult> {
    const { cache, chain, clock, timeoutSeconds } = this.#options;
    // Refuses names that CNI cannot carry, before anything is entered.
    attachmentEnvironment(request, request.netnsPath);
    // A second ADD for one attachment is not allowed: what an earlier attempt left goes first.
    await this.detach(request, { list, capabilities }, signal);
    const startedAt = clock.nowNanos().toString();
    const intent: Attachment = { phase: 'adding', request, list, capabilities, startedAt, result: undefined };
    await this.#recorded(request, cache.enter(intent));
    // Never rejects: its failure is a value until the plugins are done.
    const settled = cache.settle(request.sandboxId).catch((error: unknown) => stateFailed(request, error));
    let reached = intent;
    try {
      const result = await chain.add(intent, startDeadline(timeoutSeconds, signal));
      reached = { ...intent, phase: 'added', result };
      const ips = this.#addresses(reached);
      const problem = await settled;
      if (problem !== undefined) throw problem;
      await this.#recorded(request, cache.complete(request.sandboxId, result));
      return { ips, cniResult: result };
    } catch (error) {
      await settled;
      throw await this.#undo(reached, error);
    }
  }

  /** DEL with what ADD recorded. Without a record nothing was ever added. */
  async detach(request: PodNetworkRequest, fallback: Fallback | undefined, signal: AbortSignal): Promise<void> {
    const { cache } = this.#options;
    const cached = await cache.read(request.sandboxId);
    if (cached === undefined) return;
    const attachment = cached.phase === 'unreadable' ? this.#guess(request, fallback, cached.problem) : cached;
    await this.#delete(attachment, signal);
  }

  async #delete(attachment: Attachment, signal: AbortSignal | undefined): Promise<void> {
    const { chain, cache, timeoutSeconds } = this.#options;
    await chain.del(attachment, startDeadline(timeoutSeconds, signal));
    await cache.remove(attachment.request.sandboxId);
  }

  /** With a time limit of its own: the caller may be gone, and that may be why. */
  async #undo(attachment: Attachment, cause: unknown): Promise<BerthError> {
    const failure = cause instanceof BerthError ? cause : wrapError(`pod ${podName(attachment.request)}: network set-up`, cause);
    try {
      await this.#delete(attachment, undefined);
      return failure;
    } catch (error) {
      const undoing = error instanceof Error ? error.message : String(error);
      const message = `${failure.message}; undoing it failed too and is retried when the sandbox is stopped: ${undoing}`;
      return new BerthError(failure.code, message, { cause: new AggregateError([failure, error]) });
    }
  }

  async #recorded(request: PodNetworkRequest, writing: Promise<void>): Promise<void> {
    try {
      await writing;
    } catch (error) {
      throw stateFailed(request, error);
    }
  }

  #addresses(attachment: Attachment): readonly string[] {
    const network = `pod ${podName(attachment.request)}: network ${JSON.stringify(attachment.list.name)}`;
    let addresses: readonly string[];
    try {
      addresses = resultAddresses(attachment.result ?? {}, interfaceName);
    } catch (error) {
      throw wrapError(network, error, 'CNI_FAILED');
    }
    if (addresses.length > 0) return addresses;
    throw new BerthError('CNI_FAILED', `${network}: the plugins gave no address for ${interfaceName}`);
  }

  #guess(request: PodNetworkRequest, fallback: Fallback | undefined, problem: string): Attachment {
    const { sandboxId } = request;
    if (fallback === undefined) {
      throw new BerthError('STATE_FAILED', `pod ${podName(request)}: the record of its network cannot be used (${problem}) and no network is configured to release it with`);
    }
    this.#options.log.warn({ sandboxId, problem }, 'network record cannot be used; deleting with the present configuration');
    return { phase: 'adding', request, list: fallback.list, capabilities: fallback.capabilities, startedAt: '0', result: undefined };
  }
}

function stateFailed(request: PodNetworkRequest, error: unknown): BerthError {
  return wrapError(`pod ${podName(request)}: recording its network`, error, 'STATE_FAILED');
}
