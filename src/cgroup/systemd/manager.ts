import { BerthError, wrapError } from '../../errors/catalogue.ts';
import { untilAborted } from '../../state/keyed-lock.ts';
import { DbusConnection } from './dbus/connection.ts';
import type { DbusMessage } from './dbus/message.ts';
import type { DbusValue, Variant } from './dbus/value.ts';
import { variant } from './dbus/value.ts';
import { DbusError } from './dbus/dbus-error.ts';

/** A unit's property: its name in org.freedesktop.systemd1(5) and a value of its type. */
export type UnitProperty = readonly [name: string, value: Variant];

/** systemd's manager, as far as the cgroup driver needs it. Rejects with CGROUP_FAILED, or SYSTEMD_UNAVAILABLE. */
export interface SystemdManager {
  /** Makes a delegated scope with one process in it and waits until it is there. Rejects with UNIT_EXISTS where it is already. */
  startScope(scope: { readonly name: string; readonly slice: string; readonly pid: number; readonly description: string }, signal: AbortSignal): Promise<void>;
  /** Starts a slice, also one that is there, and waits until it is. */
  startSlice(name: string, signal: AbortSignal): Promise<void>;
  /** Until the next boot, as systemctl set-property --runtime: they survive a daemon-reload. */
  setProperties(unit: string, properties: readonly UnitProperty[], signal: AbortSignal): Promise<void>;
  /** Stops a unit and waits for its end. Succeeds on what is gone. */
  stopUnit(name: string, signal: AbortSignal): Promise<void>;
  /** Whether systemd answers. */
  ping(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** A unit of this name is loaded already. */
export const unitExists = 'org.freedesktop.systemd1.UnitExists';
const noSuchUnit = 'org.freedesktop.systemd1.NoSuchUnit';

const service = { destination: 'org.freedesktop.systemd1', path: '/org/freedesktop/systemd1', interface: 'org.freedesktop.systemd1.Manager' } as const;
const jobSignals = `type='signal',sender='${service.destination}',path='${service.path}',interface='${service.interface}',member='JobRemoved'`;

/** systemd's infinity. */
export const unlimited = 0xffff_ffff_ffff_ffffn;

interface JobWatch {
  readonly unit: string;
  ended(job: string, result: string): void;
  lost(): void;
}

/** Talks to systemd over the system bus at `socket`; a connection that breaks is made anew by the next call. */
export function connectSystemd(socket: string): SystemdManager {
  return new BusManager(socket);
}

class BusManager implements SystemdManager {
  readonly #socket: string;
  readonly #watches = new Set<JobWatch>();
  #connecting: Promise<DbusConnection> | undefined;
  #connection: DbusConnection | undefined;

  constructor(socket: string) {
    this.#socket = socket;
  }

  async startScope(
    { name, slice, pid, description }: { readonly name: string; readonly slice: string; readonly pid: number; readonly description: string },
    signal: AbortSignal,
  ): Promise<void> {
    const properties: UnitProperty[] = [
      ['Description', variant('s', description)],
      ['Slice', variant('s', slice)],
      ['PIDs', variant('au', [pid])],
      // All controllers, and systemd keeps its hands off what is below (systemd.resource-control(5)).
      ['Delegate', variant('b', true)],
      // Not systemd's own default, some 15 percent of what the machine can have.
      ['TasksMax', variant('t', unlimited)],
      // Ends with the node, not before the kubelet has had its say.
      ['DefaultDependencies', variant('b', false)],
      ['CollectMode', variant('s', 'inactive-or-failed')],
    ];
    await this.#job(name, 'StartTransientUnit', 'ssa(sv)a(sa(sv))', [name, 'fail', properties, []], signal);
  }

  async startSlice(name: string, signal: AbortSignal): Promise<void> {
    const accounting = ['CPUAccounting', 'MemoryAccounting', 'TasksAccounting', 'IOAccounting'].map((each): UnitProperty => [each, variant('b', true)]);
    const properties: UnitProperty[] = [['Description', variant('s', 'Pods of Berth')], ['DefaultDependencies', variant('b', false)], ...accounting];
    try {
      await this.#job(name, 'StartTransientUnit', 'ssa(sv)a(sa(sv))', [name, 'fail', properties, []], signal);
    } catch (cause) {
      if (!isNamed(cause, unitExists)) throw cause;
      // The administrator's own, or one that systemd has made for what is in it.
      await this.#job(name, 'StartUnit', 'ss', [name, 'fail'], signal);
    }
  }

  async setProperties(unit: string, properties: readonly UnitProperty[], signal: AbortSignal): Promise<void> {
    if (properties.length === 0) return;
    await this.#call(unit, 'SetUnitProperties', 'sba(sv)', [unit, true, properties], signal);
  }

  async stopUnit(name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#job(name, 'StopUnit', 'ss', [name, 'replace'], signal);
    } catch (cause) {
      if (!isNamed(cause, noSuchUnit)) throw cause;
    }
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#connected(signal);
  }

  close(): void {
    this.#connection?.close();
  }

  /** Calls for a job and waits until it is done; its end may be heard of before its name. */
  async #job(unit: string, member: string, signature: string, body: readonly DbusValue[], signal: AbortSignal): Promise<void> {
    const results = new Map<string, string>();
    let changed = Promise.withResolvers<void>();
    const wake = (): void => {
      changed.resolve();
      changed = Promise.withResolvers<void>();
    };
    let lost = false;
    const watch: JobWatch = {
      unit,
      ended: (job, result) => {
        results.set(job, result);
        wake();
      },
      lost: () => {
        lost = true;
        wake();
      },
    };
    this.#watches.add(watch);
    try {
      const [job] = await this.#call(unit, member, signature, body, signal);
      const result = (): string | undefined => (typeof job === 'string' ? results.get(job) : 'unknown');
      for (; result() !== 'done'; await untilAborted(changed.promise, signal)) {
        if (result() !== undefined) throw new BerthError('CGROUP_FAILED', `systemd: ${member} ${unit}: the job ended with "${result()}"`);
        if (lost) throw new BerthError('SYSTEMD_UNAVAILABLE', `systemd: ${member} ${unit}: the bus went away before the job was done`);
      }
    } finally {
      this.#watches.delete(watch);
    }
  }

  async #call(unit: string, member: string, signature: string, body: readonly DbusValue[], signal: AbortSignal): Promise<readonly DbusValue[]> {
    const connection = await this.#connected(signal);
    try {
      return await connection.call({ ...service, member, signature, body }, signal);
    } catch (cause) {
      const answered = cause instanceof DbusError && cause.dbusName !== '';
      throw wrapError(`systemd: ${member} ${unit}`, cause, answered ? 'CGROUP_FAILED' : 'SYSTEMD_UNAVAILABLE');
    }
  }

  async #connected(signal: AbortSignal): Promise<DbusConnection> {
    if (this.#connection?.open === true) return this.#connection;
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return untilAborted(this.#connecting, signal);
  }

  async #connect(): Promise<DbusConnection> {
    const signal = AbortSignal.timeout(connectPatience);
    let connection: DbusConnection | undefined;
    try {
      connection = await DbusConnection.open(this.#socket, { signal: (message) => this.#heard(message), close: () => this.#lost() }, signal);
      await connection.match(jobSignals, signal);
      await connection.call({ ...service, member: 'Subscribe' }, signal);
    } catch (cause) {
      connection?.close();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new BerthError('SYSTEMD_UNAVAILABLE', `systemd over the bus at ${this.#socket}: ${reason}`, { cause });
    }
    this.#connection = connection;
    return connection;
  }

  #heard({ member, signature, body }: DbusMessage): void {
    if (member !== 'JobRemoved' || signature !== 'uoss') return;
    const [, job, unit, result] = body;
    if (typeof job !== 'string' || typeof result !== 'string') return;
    for (const watch of this.#watches) if (watch.unit === unit) watch.ended(job, result);
  }

  #lost(): void {
    for (const watch of this.#watches) watch.lost();
  }
}

/** How long the bus may take to let us in, in ms. */
const connectPatience = 10_000;

/** Whether an error goes back to one of systemd's with this name. */
export function isNamed(cause: unknown, name: string): boolean {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if (error instanceof DbusError && error.dbusName === name) return true;
  }
  return false;
}
