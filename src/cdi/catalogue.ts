import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { invalidField } from '../errors/catalogue.ts';
import { joinEdits } from './edits.ts';
import type { ContainerEdits } from './edits.ts';
import { parseDeviceName } from './names.ts';
import { isSpecName, readSpecFile } from './spec-file.ts';
import type { SpecFile } from './spec-file.ts';
import type { CdiSpec } from './spec.ts';

/** A device that a request names, and the field where it does. */
export interface DeviceRequest {
  /** "vendor/class=device". */
  readonly name: string;
  readonly field: string;
}

/** Where a device comes from. */
interface Found {
  readonly path: string;
  readonly priority: number;
  readonly spec: CdiSpec;
  readonly edits: ContainerEdits;
}

interface Scan {
  readonly devices: ReadonlyMap<string, Found>;
  /** Names that two files of one directory claim, with those files: nobody can say which is meant. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>;
  /** Files that cannot be used, with the reason. */
  readonly broken: ReadonlyMap<string, string>;
}

/**
 * The CDI devices of the node. The directories are looked at anew for every container that asks for a device,
 * and files that have not changed are not read again: what a vendor's program writes counts at once.
 */
export class CdiCatalogue {
  readonly #directories: readonly string[];
  readonly #log: Logger;
  #files: ReadonlyMap<string, SpecFile> = new Map();

  /** `directories` by rising priority: a device in a later one hides its namesake in an earlier one. */
  constructor(directories: readonly string[], log: Logger) {
    this.#directories = directories;
    this.#log = log;
  }

  /**
   * What has to be changed in a container that gets these devices, each named once or more: of each spec its own
   * edits, then those of its devices, in the order of the request. Throws INVALID_FIELD for a device that is not
   * there, or that needs what Berth cannot do.
   */
  async edits(requests: readonly DeviceRequest[]): Promise<ContainerEdits> {
    const wrong = requests.find(({ name }) => parseDeviceName(name) === undefined);
    if (wrong !== undefined) throw invalidField(wrong.field, `"${wrong.name}" is not the name of a CDI device: vendor/class=device`);
    const scan = await this.#scan();
    const specs = new Set<CdiSpec>();
    const all: ContainerEdits[] = [];
    for (const { name, field } of requests.filter(({ name: one }, index) => requests.findIndex((other) => other.name === one) === index)) {
      const { spec, edits } = this.#find(name, field, scan);
      if (!specs.has(spec)) all.push(spec.edits);
      specs.add(spec);
      all.push(edits);
    }
    return joinEdits(all);
  }

  #find(name: string, field: string, scan: Scan): Found {
    const found = scan.devices.get(name);
    const conflict = scan.conflicts.get(name);
    if (conflict !== undefined) throw invalidField(field, `CDI device "${name}" is in more than one file: ${conflict.join(', ')}`);
    if (found === undefined) throw invalidField(field, `there is no CDI device "${name}" in ${this.#directories.join(', ')}${brokenNote(scan)}`);
    const [unsupported] = [...found.spec.edits.unsupported, ...found.edits.unsupported];
    if (unsupported !== undefined) throw invalidField(field, `CDI device "${name}" (${found.path}) needs ${unsupported}, which is not supported`);
    return found;
  }

  async #scan(): Promise<Scan> {
    const files = await this.#readFiles();
    const devices = new Map<string, Found>();
    const conflicts = new Map<string, readonly string[]>();
    const broken = new Map<string, string>();
    for (const { path, priority, file } of files) {
      if (file.spec === undefined) broken.set(path, file.problem);
      for (const [device, edits] of file.spec?.devices ?? []) {
        const name = `${file.spec?.kind}=${device}`;
        const other = devices.get(name);
        if (other?.priority === priority) conflicts.set(name, [...(conflicts.get(name) ?? [other.path]), path]);
        // A conflict below does not matter to whoever has a device above.
        else conflicts.delete(name);
        if (file.spec !== undefined) devices.set(name, { path, priority, spec: file.spec, edits });
      }
    }
    return { devices, conflicts, broken };
  }

  /** All files of all directories, by rising priority. */
  async #readFiles(): Promise<{ path: string; priority: number; file: SpecFile }[]> {
    const found: { path: string; priority: number; file: SpecFile }[] = [];
    for (const [priority, directory] of this.#directories.entries()) {
      for (const name of (await namesIn(directory)).filter(isSpecName).toSorted()) {
        const path = join(directory, name);
        const known = this.#files.get(path);
        const file = await readSpecFile(path, known);
        if (file === undefined) continue;
        found.push({ path, priority, file });
        if (file !== known && file.spec === undefined) this.#log.warn({ path, problem: file.problem }, 'CDI spec cannot be used');
      }
    }
    this.#files = new Map(found.map(({ path, file }) => [path, file]));
    return found;
  }
}

/** A directory that is not there has no specs. */
async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  });
}

function brokenNote({ broken }: Scan): string {
  const files = [...broken].map(([path, problem]) => `${path}: ${problem}`);
  return files.length === 0 ? '' : `; files that cannot be used: ${files.join('; ')}`;
}
