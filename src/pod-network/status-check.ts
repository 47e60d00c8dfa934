import type { Logger } from 'pino';

import { startDeadline } from './deadline.ts';
import { atLeast } from './network-list.ts';
import { pluginInput } from './plugin-chain.ts';
import { PluginError } from './plugin-call.ts';
import type { PluginCaller } from './plugin-call.ts';
import type { SelectedNetwork } from './network-selection.ts';
import type { NetworkStatus } from './pod-network.ts';

/** The kubelet asks for Status about as often. */
const intervalMillis = 10_000;
/** "Invalid environment variables": how plugins answer a CNI_COMMAND that they do not know. */
const unknownCommand = 4;

const pending: NetworkStatus = { ready: false, reason: 'NetworkStatusPending', message: 'the plugins have not answered STATUS yet' };

/**
 * Asks the plugins of a CNI 1.1 network whether they could serve an ADD. It runs in the background,
 * so that Status answers from memory; older networks have no such question.
 */
export class StatusCheck {
  readonly #caller: PluginCaller;
  readonly #timeoutSeconds: number;
  readonly #log: Logger;
  #network: SelectedNetwork | undefined;
  #status: NetworkStatus | undefined;
  #timer: NodeJS.Timeout | undefined;
  #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(caller: PluginCaller, timeoutSeconds: number, log: Logger) {
    this.#caller = caller;
    this.#timeoutSeconds = timeoutSeconds;
    this.#log = log;
  }

  /** The plugins' last word; undefined when the network's version has no STATUS. */
  get status(): NetworkStatus | undefined {
    return this.#status;
  }

  watch(network: SelectedNetwork | undefined): void {
    this.#stop();
    this.#network = network !== undefined && atLeast(network.list.cniVersion, '1.1.0') ? network : undefined;
    this.#status = this.#network === undefined ? undefined : pending;
    if (this.#network === undefined) return;
    const { signal } = this.#abort;
    this.#running = this.#running.then(() => this.#ask(signal));
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#running;
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  async #ask(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#network === undefined) return;
    const status = await this.#answer(this.#network, signal);
    if (signal.aborted) return;
    if (status.ready !== this.#status?.ready) this.#log.info({ status }, 'CNI plugins answered STATUS');
    this.#status = status;
    this.#timer = setTimeout(() => {
      this.#running = this.#ask(signal);
    }, intervalMillis).unref();
  }

  async #answer({ list }: SelectedNetwork, signal: AbortSignal): Promise<NetworkStatus> {
    const deadline = startDeadline(this.#timeoutSeconds, signal);
    for (const plugin of list.plugins) {
      try {
        const config = pluginInput(list, plugin, {});
        await this.#caller.call({ type: plugin.type, command: 'STATUS', network: list.name, pod: '', environment: {}, config }, deadline);
      } catch (error) {
        if (error instanceof PluginError && error.cniCode === unknownCommand) continue;
        return { ready: false, reason: 'NetworkPluginNotReady', message: error instanceof Error ? error.message : String(error) };
      }
    }
    return { ready: true, reason: '', message: '' };
  }
}
