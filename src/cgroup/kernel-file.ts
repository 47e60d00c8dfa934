import { closeSync, openSync, readdirSync, readSync } from 'node:fs';

/**
 * Small files of cgroupfs and procfs, read on the spot: they are made in memory when they are read and never
 * wait for a disk, and a way through the thread pool costs several times as much as the reading itself.
 */

/** Holds one reading; every file that is read in one piece is far smaller. */
const buffer = Buffer.allocUnsafe(64 << 10);

/** How many descriptors may be kept open between readings, over all cgroups together. */
export class DescriptorBudget {
  #left: number;

  constructor(size: number) {
    this.#left = size;
  }

  get left(): number {
    return this.#left;
  }

  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  giveBack(): void {
    this.#left += 1;
  }
}

/**
 * The files of one cgroup directory. A descriptor kept open saves the walk to the file, three quarters of a
 * reading's price; one read at offset 0 makes the kernel write the file anew (seq_file, Documentation/filesystems/seq_file.rst).
 * The kernel removes a cgroup whose files are open; reading them then fails and is taken for absence.
 */
export class CgroupFiles {
  readonly directory: string;
  readonly #budget: DescriptorBudget;
  readonly #open = new Map<string, number>();
  readonly #absent = new Set<string>();
  #closed = false;

  constructor(directory: string, budget: DescriptorBudget) {
    this.directory = directory;
    this.#budget = budget;
  }

  /** The text of a file that the kernel hands out in one piece; undefined when it is not there or not readable. */
  read(name: string): string | undefined {
    return this.#with(name, readPiece);
  }

  /** The text of a list of any length, such as cgroup.procs. */
  readList(name: string): string | undefined {
    return this.#with(name, readToEnd);
  }

  /** Reads from now on open the file and close it again. */
  close(): void {
    this.#closed = true;
    for (const descriptor of this.#open.values()) {
      closeSync(descriptor);
      this.#budget.giveBack();
    }
    this.#open.clear();
  }

  #with(name: string, read: (descriptor: number) => string): string | undefined {
    const kept = this.#open.get(name);
    if (kept !== undefined) return attempt(() => read(kept));
    if (this.#absent.has(name)) return undefined;
    let descriptor: number;
    try {
      descriptor = openSync(`${this.directory}/${name}`, 'r');
    } catch (cause) {
      // A cgroup's set of files is settled before a process enters it.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') this.#absent.add(name);
      return undefined;
    }
    const keep = !this.#closed && this.#budget.take();
    if (keep) this.#open.set(name, descriptor);
    try {
      return attempt(() => read(descriptor));
    } finally {
      if (!keep) closeSync(descriptor);
    }
  }
}

/** One reading of a file that the kernel hands out in one piece. */
export function readKernelFile(path: string): string | undefined {
  return readOnce(path, readPiece);
}

/** One reading of a list of any length. */
export function readKernelList(path: string): string | undefined {
  return readOnce(path, readToEnd);
}

/** Names in a directory of a kernel file system; none when it is not there. */
export function namesIn(directory: string): string[] {
  return attempt(() => readdirSync(directory)) ?? [];
}

/** Directories directly below a cgroup directory. */
export function directoriesIn(directory: string): string[] {
  const entries = attempt(() => readdirSync(directory, { withFileTypes: true })) ?? [];
  return entries.filter((entry) => entry.isDirectory()).map((entry) => `${directory}/${entry.name}`);
}

function readOnce(path: string, read: (descriptor: number) => string): string | undefined {
  const descriptor = attempt(() => openSync(path, 'r'));
  if (descriptor === undefined) return undefined;
  try {
    return attempt(() => read(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

function readPiece(descriptor: number): string {
  return buffer.toString('latin1', 0, readSync(descriptor, buffer, 0, buffer.length, 0));
}

/** The kernel may hand out less than it has while there is more to come. */
function readToEnd(descriptor: number): string {
  let text = '';
  for (let at = 0; ; ) {
    const length = readSync(descriptor, buffer, 0, buffer.length, at);
    if (length === 0) return text;
    text += buffer.toString('latin1', 0, length);
    at += length;
  }
}

/** Whatever goes wrong with one of these files (ENOENT, ENODEV, EOPNOTSUPP, ESRCH) means that it says nothing. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
