/** How the machine is to be, from the variables of `make vm`. */

export interface Disk {
  readonly path: string;
  readonly bytes: number;
}

export interface MachineSettings {
  readonly init: 'plain' | 'systemd';
  readonly memoryBytes: number;
  readonly cpus: number;
  /** The whole run, boot included. */
  readonly timeoutSeconds: number;
  /** Lasts from one machine to the next; mounted at /disk. Made when it is not there. */
  readonly disk?: Disk;
  readonly swapBytes?: number;
  /** The power goes this long after the command has started. */
  readonly powerOffAfterSeconds?: number;
  readonly accelerator: 'any' | 'kvm' | 'tcg';
  /** Gets qemu's process id. */
  readonly pidFile?: string;
}

const MIB = 1024 ** 2;
const UNITS: Readonly<Record<string, number>> = { K: 1024, M: MIB, G: 1024 * MIB };
const DEFAULT_MEMORY = 2048 * MIB;
const DEFAULT_DISK = 1024 * MIB;
const SECTOR = 512;

export class SettingError extends Error {}

/** `512M`, `2G`, `65536K`. */
export function parseSize(name: string, text: string): number {
  const [, digits, unit] = /^(\d+)([KMG])$/.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit ?? ''] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes) || bytes === 0 || bytes % SECTOR !== 0) {
    throw new SettingError(`${name}: expected a size such as 512M or 2G, not "${text}"`);
  }
  return bytes;
}

function parseNumber(name: string, text: string, whole: boolean): number {
  const value = Number(text);
  const allowed = whole ? /^\d+$/ : /^\d+(\.\d+)?$/;
  if (!allowed.test(text) || value === 0) {
    throw new SettingError(`${name}: expected a ${whole ? 'whole ' : ''}number above 0, not "${text}"`);
  }
  return value;
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new SettingError(`${name}: expected ${allowed.join(' or ')}, not "${text}"`);
  return found;
}

/** `path` or `path:size`. The size counts only when the disk is made. */
function parseDisk(text: string): Disk {
  const [, path = text, size] = /^(.+):(\d+[A-Za-z]*)$/.exec(text) ?? [];
  // qemu's option syntax has its own meaning for commas.
  if (path.includes(',')) throw new SettingError(`DISK: "${path}" has a comma in it`);
  return { path, bytes: size === undefined ? DEFAULT_DISK : parseSize('DISK', size) };
}

/** An empty variable is one that is not set. */
export function machineSettings(environment: Readonly<Record<string, string | undefined>>): MachineSettings {
  const given = <T>(name: string, parse: (text: string) => T): T | undefined => {
    const text = environment[name] ?? '';
    return text === '' ? undefined : parse(text);
  };
  const disk = given('DISK', parseDisk);
  const swapBytes = given('SWAP', (text) => parseSize('SWAP', text));
  const powerOffAfterSeconds = given('POWEROFF_AFTER', (text) => parseNumber('POWEROFF_AFTER', text, false));
  const pidFile = given('PIDFILE', (text) => text);
  return {
    init: given('INIT', (text) => oneOf('INIT', text, ['plain', 'systemd'])) ?? 'plain',
    memoryBytes: given('MEM', (text) => parseSize('MEM', text)) ?? DEFAULT_MEMORY,
    cpus: given('CPUS', (text) => parseNumber('CPUS', text, true)) ?? 2,
    timeoutSeconds: given('TIMEOUT', (text) => parseNumber('TIMEOUT', text, false)) ?? 600,
    accelerator: given('ACCEL', (text) => oneOf('ACCEL', text, ['any', 'kvm', 'tcg'])) ?? 'any',
    ...(disk && { disk }),
    ...(swapBytes !== undefined && { swapBytes }),
    ...(powerOffAfterSeconds !== undefined && { powerOffAfterSeconds }),
    ...(pidFile !== undefined && { pidFile }),
  };
}
