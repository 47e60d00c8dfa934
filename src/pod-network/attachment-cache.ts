import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { readIfPresent, replaceFile, syncDirectoryOf } from './atomic-file.ts';
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

/** One file per sandbox in a directory that survives a reboot, as addresses of the IPAM plugins do. */
export class AttachmentCache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
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

  async write(attachment: Attachment): Promise<void> {
    const { list, ...rest } = attachment;
    const document = { version: formatVersion, ...rest, list: listDocument(list) };
    await replaceFile(this.#path(attachment.request.sandboxId), `${JSON.stringify(document)}\n`);
  }

  /** Makes the entry's name durable; its content is already. Runs beside the plugins, which are slower. */
  async settle(sandboxId: string): Promise<void> {
    await syncDirectoryOf(this.#path(sandboxId));
  }

  async remove(sandboxId: string): Promise<void> {
    await rm(this.#path(sandboxId), { force: true });
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
  const document = asRecord(JSON.parse(text));
  if (document === undefined) throw new Error('not a JSON object');
  if (document['version'] !== formatVersion) throw new Error(`format version ${JSON.stringify(document['version'])} is not known`);
  const request = asRecord(document['request']);
  const list = asRecord(document['list']);
  const capabilities = asRecord(document['capabilities']);
  const { phase, startedAt } = document;
  if (request === undefined || list === undefined || capabilities === undefined) throw new Error('request, list or capabilities missing');
  if (request['sandboxId'] !== sandboxId) throw new Error(`it is about ${JSON.stringify(request['sandboxId'])}`);
  if (phase !== 'adding' && phase !== 'added') throw new Error(`phase ${JSON.stringify(phase)} is not known`);
  return {
    phase,
    request: request as unknown as PodNetworkRequest,
    list: parseNetworkList(list),
    capabilities,
    startedAt: typeof startedAt === 'string' ? startedAt : '0',
    result: asRecord(document['result']),
  };
}
