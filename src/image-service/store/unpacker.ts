/** Drives berth-unpack, which turns a layer stream into a directory, flushes and removes trees. */

import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { runProgram } from './program.ts';
import type { ProgramOutcome } from './program.ts';

export interface UnpackResult {
  /** Of the compressed stream. */
  readonly digest: string;
  /** Of the uncompressed tar. */
  readonly diffId: string;
  /** Compressed bytes. */
  readonly size: number;
  readonly unpackedBytes: number;
  readonly inodes: number;
}

export interface UnpackLimits {
  /** Unpacked bytes of one layer. */
  readonly maxBytes?: number | undefined;
  readonly maxEntries?: number | undefined;
}

export interface Unpacker {
  /** Unpacks into the empty directory `dest`. On a failure `dest` holds an unusable part. */
  layer(dest: string, input: AsyncIterable<Buffer>, what: string, signal: AbortSignal): Promise<UnpackResult>;
  /** Flushes the file system that holds `directory`. */
  sync(directory: string, signal: AbortSignal): Promise<void>;
  /** Removes a tree; one that is gone already is success. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
}

export function createUnpacker(program: string, limits: UnpackLimits): Unpacker {
  return {
    async layer(dest, input, what, signal) {
      const args = ['layer', '--dest', dest, ...limitArguments(limits)];
      const outcome = await run(program, args, input, what, signal);
      return parseResult(outcome, what);
    },
    async sync(directory, signal) {
      const what = `flush the file system of ${directory}`;
      await run(program, ['sync', directory], undefined, what, signal);
    },
    async remove(directory, signal) {
      await run(program, ['remove', directory], undefined, `remove ${directory}`, signal);
    },
  };
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
  const { digest, diffId, size, unpackedBytes, inodes } = result;
  const digestsAreValid = typeof digest === 'string' && digestPattern.test(digest) && typeof diffId === 'string' && digestPattern.test(diffId);
  if (!digestsAreValid || !count(size) || !count(unpackedBytes) || !count(inodes)) {
    throw new BerthError('UNPACK_FAILED', `${what}: the unpacker's report is not understood: ${outcome.stdout.slice(0, 300)}`);
  }
  return { digest, diffId, size, unpackedBytes, inodes };
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
