/** Drives berth-unpack, which turns a layer stream into a directory, flushes and removes trees. */

import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { runProgram, streamProgram } from './program.ts';
import type { ProgramOutcome, RunCommand } from './program.ts';

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
  /** Sum of the files' sizes. */
  readonly contentBytes: number;
  /** Directories that the layer does not list and only entries below them imply. */
  readonly implied: number;
}

/** What a tree holds, counted from its inodes. */
export type TreeFigures = Pick<UnpackResult, 'unpackedBytes' | 'inodes' | 'contentBytes' | 'implied'>;

/** Where a layer lies: absolute paths. */
export interface LayerPlace {
  readonly tree: string;
  readonly skeleton: string;
}

export interface UnpackLimits {
  /** Bytes of one layer's tar. */
  readonly maxBytes?: number | undefined;
  readonly maxEntries?: number | undefined;
  /** Of tar to compressed bytes, beyond the first GiB. */
  readonly maxRatio?: number | undefined;
  /** Bytes of an entry's path. */
  readonly maxPath?: number | undefined;
}

/** Where one layer's processor time went, in seconds. */
export interface UnpackCpu {
  readonly decompress: number;
  /** Both digests. */
  readonly hash: number;
  /** The rest of what was spent outside of the kernel. */
  readonly other: number;
  readonly kernel: number;
}

export interface Unpacker {
  /** Unpacks into the empty directory `tree`; `skeleton` is made. After a failure both are unusable. */
  layer(place: LayerPlace, input: AsyncIterable<Buffer>, what: string, signal: AbortSignal): Promise<UnpackResult>;
  /**
   * The layer's tar, made again. The caller compares its digest with the diff ID: only when they are equal is it
   * the layer. Rejects with LAYER_DAMAGED when tree and skeleton cannot be read or do not belong together.
   */
  pack(place: LayerPlace, what: string, signal: AbortSignal): AsyncIterable<Buffer>;
  /**
   * Fills the empty directory `dest` with what `layers` (topmost first) together say of the directories that
   * some of them only imply.
   */
  parents(dest: string, layers: readonly string[], signal: AbortSignal): Promise<TreeFigures>;
  /** Counts what is in a tree; no content is read. */
  check(directory: string, signal: AbortSignal): Promise<TreeFigures>;
  /** Flushes the file system that holds `directory`. */
  sync(directory: string, signal: AbortSignal): Promise<void>;
  /** Removes a tree; one that is gone already is success. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
}

export interface UnpackerOptions {
  /** Absolute path of berth-unpack. */
  readonly program: string;
  readonly limits?: UnpackLimits | undefined;
  /** Is told of each layer that was unpacked. */
  readonly spent?: ((cpu: UnpackCpu) => void) | undefined;
  /** Who carries out its commands; by default each is a process that is started for it. */
  readonly command?: RunCommand | undefined;
}

export function createUnpacker({ program, limits = {}, spent, command }: UnpackerOptions): Unpacker {
  const run = runner(program, command ?? ((args, input, signal) => runProgram(program, args, input, signal)));
  return {
    async layer({ tree, skeleton }, input, what, signal) {
      const args = ['layer', '--dest', tree, '--skeleton', skeleton, ...limitArguments(limits)];
      const outcome = await run(args, input, what, signal);
      const result = parseResult(outcome, what);
      spent?.(parseCpu(outcome, what));
      return result;
    },
    pack: ({ tree, skeleton }, what, signal) => pack(program, ['pack', tree, skeleton], what, signal),
    async parents(dest, layers, signal) {
      const what = `gather the directories of ${layers.length} layers`;
      return parseFigures(await run(['parents', dest, ...layers], undefined, what, signal), what);
    },
    async check(directory, signal) {
      const what = `check ${directory}`;
      return parseFigures(await run(['check', directory], undefined, what, signal), what);
    },
    async sync(directory, signal) {
      const what = `flush the file system of ${directory}`;
      await run(['sync', directory], undefined, what, signal);
    },
    async remove(directory, signal) {
      await run(['remove', directory], undefined, `remove ${directory}`, signal);
    },
  };
}

async function* pack(program: string, args: readonly string[], what: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const running = streamProgram(program, args, signal);
  yield* running.output;
  const outcome = await running.outcome;
  // Its standard output is the tar, so what it reports comes on standard error.
  if (outcome.exitCode !== 0) throw failureOf({ ...outcome, stdout: outcome.stderr }, what, packCodeOf);
}

function limitArguments(limits: UnpackLimits): readonly string[] {
  return [
    ...(limits.maxBytes === undefined ? [] : ['--max-bytes', String(limits.maxBytes)]),
    ...(limits.maxEntries === undefined ? [] : ['--max-entries', String(limits.maxEntries)]),
    ...(limits.maxRatio === undefined ? [] : ['--max-ratio', String(limits.maxRatio)]),
    ...(limits.maxPath === undefined ? [] : ['--max-path', String(limits.maxPath)]),
  ];
}

type Run = (args: readonly string[], input: AsyncIterable<Buffer> | undefined, what: string, signal: AbortSignal) => Promise<ProgramOutcome>;

function runner(program: string, command: RunCommand): Run {
  return async (args, input, what, signal) => {
    let outcome: ProgramOutcome;
    try {
      outcome = await command(args, input, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw cause instanceof BerthError ? cause : wrapError(`${what}: run ${program}`, cause, 'UNPACK_FAILED');
    }
    if (outcome.exitCode !== 0) throw failureOf(outcome, what);
    return outcome;
  };
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function parseResult(outcome: ProgramOutcome, what: string): UnpackResult {
  const { digest, diffId, size, tarBytes, skeletonBytes } = parseLine(outcome.stdout);
  const digestsAreValid = typeof digest === 'string' && digestPattern.test(digest) && typeof diffId === 'string' && digestPattern.test(diffId);
  if (!digestsAreValid || !isCount(size) || !isCount(tarBytes) || !isCount(skeletonBytes)) throw notUnderstood(outcome, what);
  return { digest, diffId, size, tarBytes, skeletonBytes, ...parseFigures(outcome, what) };
}

function parseFigures(outcome: ProgramOutcome, what: string): TreeFigures {
  const { unpackedBytes, contentBytes, inodes, implied } = parseLine(outcome.stdout);
  if (!isCount(unpackedBytes) || !isCount(contentBytes) || !isCount(inodes) || !isCount(implied)) throw notUnderstood(outcome, what);
  return { unpackedBytes, contentBytes, inodes, implied };
}

function parseCpu(outcome: ProgramOutcome, what: string): UnpackCpu {
  const { decompress, hash, user, kernel } = (parseLine(outcome.stdout)['cpu'] ?? {}) as Readonly<Record<string, unknown>>;
  if (!isCount(decompress) || !isCount(hash) || !isCount(user) || !isCount(kernel)) throw notUnderstood(outcome, what);
  return { decompress: decompress / 1e6, hash: hash / 1e6, other: Math.max(0, user - decompress - hash) / 1e6, kernel: kernel / 1e6 };
}

function notUnderstood(outcome: ProgramOutcome, what: string): BerthError {
  return new BerthError('UNPACK_FAILED', `${what}: the unpacker's report is not understood: ${outcome.stdout.slice(0, 300)}`);
}

/** The node's troubles, as opposed to the layer's. */
const hostErrors = new Set(['EIO', 'ENOMEM', 'EMFILE', 'ENFILE', 'EROFS', 'EACCES', 'EPERM', 'EINTR']);
const layerSteps = new Set(['decompress', 'archive', 'entry', 'limit']);

const limitSettings: Readonly<Record<string, string>> = {
  '--max-bytes': 'images.max_layer_bytes',
  '--max-entries': 'images.max_layer_entries',
  '--max-ratio': 'images.max_layer_ratio',
  '--max-path': 'images.max_path_length',
};

/** The operator knows a limit by its setting, not by the unpacker's option. */
function nameSetting(message: string): string {
  return message.replace(/ \((--max-[a-z]+)\)$/, (whole, option: string) => {
    const setting = limitSettings[option];
    return setting === undefined ? whole : `, the limit set by ${setting}`;
  });
}

function failureOf(outcome: ProgramOutcome, what: string, codeOf = unpackCodeOf): BerthError {
  const { error } = parseLine(outcome.stdout);
  if (typeof error !== 'object' || error === null) {
    const how = outcome.signal === undefined ? `exit code ${outcome.exitCode ?? '?'}` : `signal ${outcome.signal}`;
    return new BerthError('UNPACK_FAILED', `${what}: the unpacker ended with ${how}: ${outcome.stderr.trim().slice(-300)}`);
  }
  const { step, path, errnoName, message } = error as Readonly<Record<string, unknown>>;
  const printable = (value: unknown): string => (typeof value === 'string' ? value : '');
  const place = [printable(step), printable(path) === '' ? '' : JSON.stringify(path)].filter((part) => part !== '').join(' ');
  const reason = [nameSetting(printable(message)), printable(errnoName)].filter((part) => part !== '').join(', ');
  return new BerthError(codeOf(printable(step), printable(errnoName)), `${what}: ${place}: ${reason}`);
}

function unpackCodeOf(step: string, errnoName: string): ErrorCode {
  if (errnoName === 'ENOSPC' || errnoName === 'EDQUOT') return 'DISK_FULL';
  return layerSteps.has(step) && !hostErrors.has(errnoName) ? 'LAYER_REFUSED' : 'UNPACK_FAILED';
}

/** The node may be short of something, which says nothing about the layer. */
const shortages = new Set(['ENOMEM', 'EMFILE', 'ENFILE', 'EINTR', 'EACCES', 'EPERM']);
const treeSteps = new Set(['args', 'skeleton', 'tree']);

function packCodeOf(step: string, errnoName: string): ErrorCode {
  const unreadable = errnoName === 'EIO' || (treeSteps.has(step) && !shortages.has(errnoName));
  return unreadable ? 'LAYER_DAMAGED' : 'UNPACK_FAILED';
}

function parseLine(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
