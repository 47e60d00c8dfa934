/** Drives berth-unpack, which turns a layer stream into a directory, flushes and removes trees. */

import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { runProgram, streamProgram } from './program.ts';
import type { ProgramOutcome } from './program.ts';

export interface UnpackResult {
  /** Of the compressed stream. */
  readonly digest: string;
  /** Of the uncompressed tar. */
  readonly diffId: string;
  /** Compressed bytes. */
  readonly size: number;
  /** Bytes of the uncompressed tar. */
  readonly tarBytes: number;
  readonly unpackedBytes: number;
  readonly inodes: number;
  /** Bytes of the skeleton, 0 when the tar cannot be made again from it. */
  readonly skeletonBytes: number;
}

/** Where a layer lies: absolute paths. */
export interface LayerPlace {
  readonly tree: string;
  readonly skeleton: string;
}

export interface UnpackLimits {
  /** Unpacked bytes of one layer. */
  readonly maxBytes?: number | undefined;
  readonly maxEntries?: number | undefined;
}

export interface Unpacker {
  /** Unpacks into the empty directory `tree`; `skeleton` is made. After a failure both are unusable. */
  layer(place: LayerPlace, input: AsyncIterable<Buffer>, what: string, signal: AbortSignal): Promise<UnpackResult>;
  /**
   * The layer's tar, made again. The caller compares its digest with the diff ID: only when they are equal is it
   * the layer. Rejects with UNPACK_FAILED when tree and skeleton do not belong together.
   */
  pack(place: LayerPlace, what: string, signal: AbortSignal): AsyncIterable<Buffer>;
  /** Flushes the file system that holds `directory`. */
  sync(directory: string, signal: AbortSignal): Promise<void>;
  /** Removes a tree; one that is gone already is success. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
}

export function createUnpacker(program: string, limits: UnpackLimits): Unpacker {
  return {
    async layer({ tree, skeleton }, input, what, signal) {
      const args = ['layer', '--dest', tree, '--skeleton', skeleton, ...limitArguments(limits)];
      const outcome = await run(program, args, input, what, signal);
      return parseResult(outcome, what);
    },
    pack: ({ tree, skeleton }, what, signal) => pack(program, ['pack', tree, skeleton], what, signal),
    async sync(directory, signal) {
      const what = `flush the file system of ${directory}`;
      await run(program, ['sync', directory], undefined, what, signal);
    },
    async remove(directory, signal) {
      await run(program, ['remove', directory], undefined, `remove ${directory}`, signal);
    },
  };
}

async function* pack(program: string, args: readonly string[], what: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const running = streamProgram(program, args, signal);
  yield* running.output;
  const outcome = await running.outcome;
  // Its standard output is the tar, so what it reports comes on standard error.
  if (outcome.exitCode !== 0) throw failureOf({ ...outcome, stdout: outcome.stderr }, what);
}

function limitArguments(limits: UnpackLimits): readonly string[] {
  return [
    ...(limits.maxBytes === undefined ? [] : ['--max-bytes', String(limits.maxBytes)]),
    ...(limits.maxEntries === undefined ? [] : ['--max-entries', String(limits.maxEntries)]),
  ];
}

async function run(
  program: string,
  args: readonly string[],
  input: AsyncIterable<Buffer> | undefined,
  what: string,
  signal: AbortSignal,
): Promise<ProgramOutcome> {
  let outcome: ProgramOutcome;
  try {
    outcome = await runProgram(program, args, input, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw cause instanceof BerthError ? cause : wrapError(`${what}: run ${program}`, cause, 'UNPACK_FAILED');
  }
  if (outcome.exitCode !== 0) throw failureOf(outcome, what);
  return outcome;
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;

function parseResult(outcome: ProgramOutcome, what: string): UnpackResult {
  const result = parseLine(outcome.stdout);
  const count = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  const { digest, diffId, size, tarBytes, unpackedBytes, inodes, skeletonBytes } = result;
  const digestsAreValid = typeof digest === 'string' && digestPattern.test(digest) && typeof diffId === 'string' && digestPattern.test(diffId);
  const inputIsCounted = count(size) && count(tarBytes);
  if (!digestsAreValid || !inputIsCounted || !count(unpackedBytes) || !count(inodes) || !count(skeletonBytes)) {
    throw new BerthError('UNPACK_FAILED', `${what}: the unpacker's report is not understood: ${outcome.stdout.slice(0, 300)}`);
  }
  return { digest, diffId, size, tarBytes, unpackedBytes, inodes, skeletonBytes };
}

/** The node's troubles, as opposed to the layer's. */
const hostErrors = new Set(['EIO', 'ENOMEM', 'EMFILE', 'ENFILE', 'EROFS', 'EACCES', 'EPERM', 'EINTR']);
const layerSteps = new Set(['decompress', 'archive', 'entry', 'limit']);

function failureOf(outcome: ProgramOutcome, what: string): BerthError {
  const { error } = parseLine(outcome.stdout);
  if (typeof error !== 'object' || error === null) {
    const how = outcome.signal === undefined ? `exit code ${outcome.exitCode ?? '?'}` : `signal ${outcome.signal}`;
    return new BerthError('UNPACK_FAILED', `${what}: the unpacker ended with ${how}: ${outcome.stderr.trim().slice(-300)}`);
  }
  const { step, path, errnoName, message } = error as Readonly<Record<string, unknown>>;
  const printable = (value: unknown): string => (typeof value === 'string' ? value : '');
  const place = [printable(step), printable(path) === '' ? '' : JSON.stringify(path)].filter((part) => part !== '').join(' ');
  const reason = [printable(message), printable(errnoName)].filter((part) => part !== '').join(', ');
  return new BerthError(codeOf(printable(step), printable(errnoName)), `${what}: ${place}: ${reason}`);
}

function codeOf(step: string, errnoName: string): ErrorCode {
  if (errnoName === 'ENOSPC' || errnoName === 'EDQUOT') return 'DISK_FULL';
  return layerSteps.has(step) && !hostErrors.has(errnoName) ? 'LAYER_REFUSED' : 'UNPACK_FAILED';
}

function parseLine(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
