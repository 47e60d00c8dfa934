import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError, wrapError } from '../errors/catalogue.ts';

/** Held for as long as this daemon uses a directory. */
export interface DirectoryLock {
  release(): Promise<void>;
}

const fileName = 'berthd.pid';

/**
 * Takes a directory for this process alone: a second daemon on the same directory would undo what the
 * first one is making. The file names a process by its id and its start, so that neither a crash nor a
 * reused id leaves the directory locked. Throws HOST_UNSUITABLE when a living process has it.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const file = join(directory, fileName);
  const self = await processIdentity(process.pid);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      await writeFile(file, `${self}\n`, { flag: 'wx', mode: 0o600 });
      return { release: () => rm(file, { force: true }) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw wrapError(`lock ${directory}`, cause, 'HOST_UNSUITABLE');
    }
    const holder = (await readFile(file, 'utf8').catch(() => '')).trim();
    const pid = Number(holder.split(' ')[0]);
    if (holder !== '' && holder === (await processIdentity(pid))) {
      throw new BerthError('HOST_UNSUITABLE', `${directory} is in use by process ${pid}: stop that berthd first, or give this one another directory`);
    }
    await rm(file, { force: true });
  }
  throw new BerthError('HOST_UNSUITABLE', `${directory} cannot be locked: another berthd is starting there`);
}

/** "pid start-time" of a living process (proc_pid_stat(5), field 22); empty when there is none. */
async function processIdentity(pid: number): Promise<string> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return '';
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The command in parentheses may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A dead process that nobody has reaped yet holds nothing any more.
  return fields[0] === undefined || fields[0] === 'Z' || fields[19] === undefined ? '' : `${pid} ${fields[19]}`;
}
