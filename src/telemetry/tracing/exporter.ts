/** Sends spans to a collector: batched, in the background, and never at the price of a call. */
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { TracingSettings } from './environment.ts';
import { exportRequest } from './otlp.ts';
import type { FinishedSpan } from './otlp.ts';

export interface SpanObserver {
  exported(count: number): void;
  /** Spans that nobody will see: the collector did not take them, or took them too slowly. */
  dropped(count: number): void;
}

export interface SpanExporterOptions {
  readonly settings: TracingSettings;
  readonly version: string;
  readonly observer: SpanObserver;
  readonly log: Logger;
}

/** By the protocol's specification, these may be tried again. */
const retryable = new Set([429, 502, 503, 504]);
const tries = 3;

/** How long an end of berthd waits for the last spans, in ms. */
const closePatience = 3_000;

export class SpanExporter {
  readonly #options: SpanExporterOptions;
  readonly #stop = new AbortController();
  #waiting: FinishedSpan[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #failing = false;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  add(span: FinishedSpan): void {
    const { batch } = this.#options.settings;
    if (this.#waiting.length >= batch.queue) return this.#options.observer.dropped(1);
    this.#waiting.push(span);
    if (this.#waiting.length >= batch.size) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), batch.delay).unref();
  }

  /** Sends what waits, for a while; what is left then is dropped. */
  async close(): Promise<void> {
    const patience = setTimeout(() => this.#stop.abort(), closePatience);
    this.#flush();
    await this.#sending;
    clearTimeout(patience);
    this.#stop.abort();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined));
  }

  async #sendAll(): Promise<void> {
    const { settings, observer, version, log } = this.#options;
    while (this.#waiting.length > 0) {
      const spans = this.#waiting.splice(0, settings.batch.size);
      try {
        await this.#send(exportRequest(settings.resource, version, spans));
        observer.exported(spans.length);
        this.#failing = false;
      } catch (err) {
        observer.dropped(spans.length);
        // Once, not for every batch of a collector that is away.
        if (!this.#failing) log.warn({ err, spans: spans.length, url: settings.url.origin }, 'spans could not be sent');
        this.#failing = true;
      }
    }
  }

  async #send(body: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const status = await this.#post(body);
      if (status >= 200 && status < 300) return;
      if (!retryable.has(status) || attempt === tries) throw new Error(`the collector answered with ${status}`);
      await sleep(500 * 2 ** attempt, undefined, { signal: this.#stop.signal });
    }
  }

  async #post(body: string): Promise<number> {
    const { url, headers, timeout } = this.#options.settings;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeout)]);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, { method: 'POST', signal, headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } });
    request.on('error', reject).on('response', resolve).end(body);
    const response = await promise;
    response.resume();
    return response.statusCode ?? 0;
  }
}
