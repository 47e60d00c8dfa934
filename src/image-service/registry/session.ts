/** All the endpoints that one pull may use, asked in order until one has what is wanted. */

import { formatReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import { RegistryClient } from './client.ts';
import type { ClientOptions } from './client.ts';
import { readAuthFile } from './docker-auth.ts';
import type { PullAuth } from './credentials.ts';
import type { Capability } from './endpoint.ts';
import type { BlobSource } from './blob-source.ts';
import type { Descriptor } from './descriptor.ts';
import { ExternalSource } from './external-source.ts';
import { RegistryFailure } from './failure.ts';
import { readEndpoints } from './hosts.ts';
import { BerthError } from '../../errors/catalogue.ts';

export type SessionOptions = Omit<ClientOptions, 'hasAlternative'> & {
  /** The hosts.toml tree. */
  readonly configDir: string;
  /** Certificates in the Docker layout, for registries that the tree does not name; empty for none. */
  readonly dockerCertsDir: string;
  /** Docker's config.json; empty for none. */
  readonly authFile: string;
};

export class RegistrySession {
  readonly #reference: ImageReference;
  readonly #options: SessionOptions;
  readonly #external: ExternalSource[] = [];
  readonly clients: readonly RegistryClient[];

  private constructor(reference: ImageReference, clients: readonly RegistryClient[], options: SessionOptions) {
    this.#reference = reference;
    this.#options = options;
    this.clients = clients;
  }

  static async open(
    reference: ImageReference,
    auth: PullAuth | undefined,
    options: SessionOptions,
    signal: AbortSignal,
  ): Promise<RegistrySession> {
    const endpoints = await readEndpoints(options, reference.domain, signal);
    const file = auth === undefined && options.authFile !== '' ? await readAuthFile(options.authFile, signal) : undefined;
    const clients: RegistryClient[] = [];
    for (const [position, endpoint] of endpoints.entries()) {
      const own = auth ?? (await file?.credentials(endpoint.host, signal));
      clients.push(new RegistryClient(endpoint, reference, own, { ...options, hasAlternative: position + 1 < endpoints.length }));
    }
    return new RegistrySession(reference, clients, options);
  }

  /** `host[:port]` of every endpoint that may be used, in order. */
  get hosts(): readonly string[] {
    return this.clients.map((client) => client.endpoint.host);
  }

  able(capability: Capability): readonly RegistryClient[] {
    return this.clients.filter((client) => client.endpoint.capabilities.has(capability));
  }

  /**
   * Who may have a layer, in the order to ask: the registry and its mirrors, which the administrator chose, then the
   * layer's own URLs.
   */
  sources({ urls = [] }: Descriptor): readonly BlobSource[] {
    const external = urls.map((url) => new ExternalSource(url, this.#options, this.#options));
    this.#external.push(...external);
    return [...this.able('pull'), ...external];
  }

  /**
   * Asks each able endpoint until one succeeds. When none does the last one's failure counts, which is
   * the registry's own; those of the mirrors are told with it.
   */
  async first<T>(capability: Capability, signal: AbortSignal, ask: (client: RegistryClient) => Promise<T>): Promise<T> {
    const failures: BerthError[] = [];
    for (const client of this.able(capability)) {
      try {
        return await ask(client);
      } catch (failure) {
        signal.throwIfAborted();
        if (!(failure instanceof BerthError)) throw failure;
        failures.push(failure);
      }
    }
    throw allFailed(failures, formatReference(this.#reference), capability);
  }

  async close(): Promise<void> {
    await Promise.all([...this.clients, ...this.#external].map((source) => source.close()));
  }
}

export function allFailed(failures: readonly BerthError[], what: string, capability: Capability): BerthError {
  const last = failures.at(-1);
  if (last === undefined) {
    return new BerthError('CONFIG_INVALID', `${what}: no host in the mirror file has the capability "${capability}"`);
  }
  if (failures.length === 1) return last;
  const others = failures.slice(0, -1).map((failure) => failure.message);
  return new RegistryFailure(last.code, `${last.message} (before that: ${others.join('; ')})`, { cause: last });
}
