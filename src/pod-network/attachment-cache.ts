import { appendFile, mkdir, readdir, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { placeFile, readIfPresent, syncFile } from './atomic-file.ts';
import { asRecord } from './json-record.ts';
import type { JsonRecord } from './json-record.ts';
import { listDocument, parseNetworkList } from './network-list.ts';
import type { NetworkList } from './network-list.ts';
import type { PodNetworkRequest } from './pod-network.ts';
import type { CapabilityValues } from './runtime-config.ts';

/**
 * What DEL needs, written before the first ADD.
 *
 *     (none) ──setUp──▶ adding ──every plugin answered──▶ added ──tearDown──▶ (none)
 *                          └───────────undo, tearDown──────────────────────────▲
 *
 * In `adding` nobody knows which plugins ran, so DEL runs all of them, without a prevResult.
 */
export interface Attachment {
  readonly phase: 'adding' | 'added';
  readonly request: PodNetworkRequest;
  readonly list: NetworkList;
  readonly capabilities: CapabilityValues;
  /** Nanoseconds since the epoch. */
  readonly startedAt: string;
  /** The last plugin's result; undefined while adding. */
  readonly result: JsonRecord | undefined;
}

/** A file that is there but cannot be used, told apart from none at all. */
export interface UnreadableAttachment {
  readonly phase: 'unreadable';
  readonly problem: string;
}

const formatVersion = 1;
const suffix = '.json';
/** Ids become file names. */
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/**
 * One file per sandbox, of two lines: the intent, and the result once there is one. It lies in a
 * directory that survives a reboot, as the addresses that IPAM plugins reserve do.
 */
export class AttachmentCache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Also clears away what a crash left half written: of such a pod no plugin has heard. */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const halves = (await readdir(this.#directory)).filter((name) => name.endsWith('.tmp'));
    await Promise.all(halves.map((name) => rm(join(this.#directory, name), { force: true })));
  }

  async read(sandboxId: string): Promise<Attachment | UnreadableAttachment | undefined> {
    const text = await readIfPresent(this.#path(sandboxId));
    if (text === undefined) return undefined;
    try {
      return decode(text, sandboxId);
    } catch (error) {
      return { phase: 'unreadable', problem: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Writes the intent, before the first ADD. A crash of berthd finds it from here on. */
  async enter(intent: Attachment): Promise<void> {
    const { request, capabilities, startedAt, list } = intent;
    const document = { version: formatVersion, startedAt, request, capabilities, list: listDocument(list) };
    await placeFile(this.#path(request.sandboxId), `${JSON.stringify(document)}\n`);
  }

  /** Carries the intent over a power loss as well. It runs beside the plugins, which are slower. */
  async settle(sandboxId: string): Promise<void> {
    await syncFile(this.#path(sandboxId));
  }

  /** Adds the result. When a power loss takes or cuts it, the intent alone is enough for DEL. */
  async complete(sandboxId: string, result: JsonRecord): Promise<void> {
    await appendFile(this.#path(sandboxId), `${JSON.stringify(result)}\n`);
  }

  async remove(sandboxId: string): Promise<void> {
    try {
      await unlink(this.#path(sandboxId));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  async ids(): Promise<readonly string[]> {
    const names = await readdir(this.#directory);
    return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length)).toSorted();
  }

  #path(sandboxId: string): string {
    if (!idPattern.test(sandboxId)) throw new Error(`${JSON.stringify(sandboxId)} is not a sandbox id`);
    return join(this.#directory, `${sandboxId}${suffix}`);
  }
}

function decode(text: string, sandboxId: string): Attachment {
  const [intent = '', outcome = ''] = text.split('\n');
  const document = asRecord(JSON.parse(intent));
  if (document === undefined) throw new Error('not a JSON object');
  if (document['version'] !== formatVersion) throw new Error(`format version ${JSON.stringify(document['version'])} is not known`);
  const request = asRecord(document['request']);
  const list = asRecord(document['list']);
  const capabilities = asRecord(document['capabilities']);
  const { startedAt } = document;
  if (request === undefined || list === undefined || capabilities === undefined) throw new Error('request, list or capabilities missing');
  if (request['sandboxId'] !== sandboxId) throw new Error(`it is about ${JSON.stringify(request['sandboxId'])}`);
  const result = decodeResult(outcome);
  return {
    phase: result === undefined ? 'adding' : 'added',
    request: request as unknown as PodNetworkRequest,
    list: parseNetworkList(list),
    capabilities,
    startedAt: typeof startedAt === 'string' ? startedAt : '0',
    result,
  };
}

function decodeResult(line: string): JsonRecord | undefined {
  try {
    return asRecord(JSON.parse(line));
  } catch {
    return undefined;
  }
}
