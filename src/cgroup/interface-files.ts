import { access, constants, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { wrapError } from '../errors/catalogue.ts';
import type { BerthError } from '../errors/catalogue.ts';
import type { CgroupWrite } from './limits.ts';

/** Without O_CREAT, so that a file that the kernel does not have is ENOENT and not EACCES. */
export function writeInterface(path: string, value: string): Promise<void> {
  return writeFile(path, value, { flag: constants.O_WRONLY });
}

/** Writes one limit; a file of several keys (io.max) takes one line at a time. */
export async function writeLimit(directory: string, { file, value, optional }: CgroupWrite): Promise<void> {
  try {
    for (const line of value.split('\n')) await writeInterface(join(directory, file), line === '' ? '\n' : line);
  } catch (cause) {
    if (optional === true && errnoOf(cause) === 'ENOENT') return;
    throw await failure(directory, `write "${value}" to ${file}`, cause);
  }
}

/** What a file holds; undefined where an optional one is not there. */
export async function readLimit(directory: string, { file, optional }: CgroupWrite): Promise<string | undefined> {
  try {
    return (await readFile(join(directory, file), 'utf8')).trimEnd();
  } catch (cause) {
    if (optional === true && errnoOf(cause) === 'ENOENT') return undefined;
    throw await failure(directory, `read ${file}`, cause);
  }
}

/** A value that the kernel does not take, or for a file that it does not have, is the request's fault; anything else is the node's. */
async function failure(directory: string, attempted: string, cause: unknown): Promise<BerthError> {
  const code = errnoOf(cause);
  const isThere = code === 'ENOENT' && (await access(directory).then(() => true, () => false));
  const refused = isThere || ['EINVAL', 'ERANGE', 'EOPNOTSUPP'].includes(code);
  return wrapError(`cgroup ${directory}: ${attempted}`, cause, refused ? 'LIMIT_REFUSED' : 'CGROUP_FAILED');
}

export function errnoOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
}

/** For `catch`: swallows these errno codes, throws everything else. */
export function ignore(...codes: string[]): (cause: unknown) => void {
  return (cause) => {
    if (!codes.includes(errnoOf(cause))) throw cause;
  };
}
