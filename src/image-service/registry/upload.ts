/**
 * One blob on its way to a registry. It goes in one request; what breaks is taken up where the registry says it broke,
 * or from the start where the registry cannot say. A registry, or a proxy before it, that refuses so long a request
 * gets the blob in pieces.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../errors/catalogue.ts';
import { RegistryFailure, failureOfTransport } from './failure.ts';
import type { PushClient, UploadBody, UploadSession } from './push-client.ts';
import { retryDelay } from './retry.ts';
import type { RetryPolicy } from './retry.ts';

export interface UploadContent {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** The bytes from `from` up to `to`, which is not among them. May be asked again. */
  read(from: number, to: number): AsyncIterable<Buffer>;
}

export interface UploadOptions {
  readonly retry: RetryPolicy;
  /** Names the object in errors. */
  readonly what: string;
  /** Called with the bytes that are out, which may also become fewer. */
  readonly progress?: ((bytes: number) => void) | undefined;
  /** Bytes of a piece, where one request for all is refused. */
  readonly pieceBytes?: number | undefined;
}

const tooLarge = 413;
/** Below what proxies let through as a rule, above what stores in the cloud want of a part. */
const defaultPieceBytes = 16 * 1024 * 1024;

export class Upload {
  readonly #client: PushClient;
  readonly #content: UploadContent;
  readonly #options: UploadOptions;
  #session: UploadSession | undefined;
  /** The session was taken up in its middle. */
  #resumed = false;
  #inPieces = false;
  /** The most that has ever arrived. */
  #best = 0;

  /** `session`: one that the registry has offered already. */
  constructor(client: PushClient, content: UploadContent, session: UploadSession | undefined, options: UploadOptions) {
    this.#client = client;
    this.#content = content;
    this.#session = session;
    this.#options = options;
  }

  /** Ends when the registry has the blob. */
  async run(signal: AbortSignal): Promise<void> {
    for (let inRow = 0; ; ) {
      const before = this.#best;
      try {
        return await this.#continue(signal);
      } catch (cause) {
        const failure = failureOfTransport(this.#options.what, this.#client.endpoint.host, cause, signal);
        if (signal.aborted || !(failure instanceof BerthError)) throw failure;
        // A registry that took something since the last break is alive: it starts with a clean sheet.
        inRow = this.#best > before ? 1 : inRow + 1;
        const delay = this.#delayAfter(failure, inRow);
        if (delay === undefined) throw failure;
        await sleep(delay, undefined, { signal });
        await this.#takeUp(failure, signal);
      }
    }
  }

  async #continue(signal: AbortSignal): Promise<void> {
    const { size, digest } = this.#content;
    const call = { what: this.#options.what, signal };
    this.#session ??= await this.#client.startUpload(call);
    if (!this.#inPieces && this.#session.offset === 0) return this.#client.finish(this.#session, digest, this.#body(0, size), call);
    const piece = this.#inPieces ? Math.max(this.#options.pieceBytes ?? defaultPieceBytes, this.#session.minPiece) : size;
    for (let { offset } = this.#session; offset < size; offset = this.#session.offset) {
      const end = Math.min(size, offset + piece);
      const next: UploadSession = await this.#client.sendPiece(this.#session, this.#body(offset, end), call);
      if (next.offset <= offset || next.offset > end) throw this.#lost(`has ${next.offset} bytes after ${end} were sent`);
      this.#session = next;
      this.#best = Math.max(this.#best, next.offset);
    }
    await this.#client.finish(this.#session, digest, undefined, call);
  }

  /** Milliseconds until the next attempt; undefined: there is none. */
  #delayAfter(failure: BerthError, inRow: number): number | undefined {
    const { retry } = this.#options;
    if (!(failure instanceof RegistryFailure)) return undefined;
    if (failure.httpStatus === tooLarge && !this.#inPieces) return 0;
    if (!this.#canStartOver(failure)) return retryDelay(retry, inRow, failure, false);
    return retryDelay(retry, inRow, new RegistryFailure(failure.code, failure.message, { transient: true }), false);
  }

  /** The upload that a session stood for is gone, or its parts do not make up the whole: another one may do. */
  #canStartOver(failure: RegistryFailure): boolean {
    if (this.#session === undefined) return false;
    return this.#resumed || failure.httpStatus === 404 || failure.httpStatus === 416;
  }

  async #takeUp(failure: BerthError, signal: AbortSignal): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    const resumable = failure instanceof RegistryFailure && failure.transient && !this.#resumed;
    this.#resumed = false;
    if (failure instanceof RegistryFailure && failure.httpStatus === tooLarge) this.#inPieces = true;
    else if (session !== undefined && resumable) this.#session = await this.#resumable(session, signal);
    this.#resumed = this.#session !== undefined;
    this.#options.progress?.(this.#session?.offset ?? 0);
  }

  async #resumable(session: UploadSession, signal: AbortSignal): Promise<UploadSession | undefined> {
    try {
      const status = await this.#client.uploadStatus(session, { what: this.#options.what, signal });
      return status.offset > 0 && status.offset <= this.#content.size ? status : undefined;
    } catch (failure) {
      signal.throwIfAborted();
      // Many registries forget an upload that broke, some cannot say how far it came.
      if (failure instanceof RegistryFailure) return undefined;
      throw failure;
    }
  }

  #body(from: number, to: number): UploadBody {
    const { progress } = this.#options;
    const content = this.#content;
    const open = async function* (): AsyncGenerator<Buffer, void, undefined> {
      let at = from;
      for await (const chunk of content.read(from, to)) {
        yield chunk;
        at += chunk.length;
        progress?.(at);
      }
    };
    return { length: to - from, open };
  }

  #lost(problem: string): RegistryFailure {
    const { what } = this.#options;
    return new RegistryFailure('REGISTRY_PROTOCOL', `${what}: ${this.#client.endpoint.host} ${problem}`, { httpStatus: 416 });
  }
}
