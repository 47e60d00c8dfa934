import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { BerthError } from '../errors/catalogue.ts';
import { Channel } from './channel.ts';
import { messageType } from './protocol.ts';
import type { MessageType } from './protocol.ts';

/** Where the pieces of a sandbox are pinned; an empty string for a piece that is not made. */
export interface SandboxPins {
  readonly net: string;
  readonly ipc: string;
  readonly uts: string;
  readonly pid: string;
  readonly user: string;
  readonly shm: string;
}

/** One range of a user namespace's map, in the form of the OCI runtime spec. */
export interface IdRange {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** How a user namespace numbers users and groups. */
export interface IdMaps {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

export interface SandboxSpec extends SandboxPins {
  readonly id: string;
  /** Of the user namespace to make at `user`; null: none is made, and what is pinned there owns the PID namespace. */
  readonly idMaps: IdMaps | null;
  readonly hostname: string;
  readonly sysctls: Readonly<Record<string, string>>;
  /** Bytes. */
  readonly shmSize: number;
  /** Absolute cgroup directory for the reaper; empty when there is none. */
  readonly cgroup: string;
}

export interface ContainerLaunch {
  readonly id: string;
  /** Directory with config.json and berth.json. */
  readonly bundle: string;
  /** Directory for shim.sock and status.json. */
  readonly stateDir: string;
}

export interface ForwardSpec {
  /** Pin file of the network namespace; empty for the host's. */
  readonly net: string;
  /** Absolute path for a Unix socket that is not there yet. */
  readonly socket: string;
}

/** The launcher, as the runtime service sees it. All methods reject with NativeFailure when the step failed. */
export interface Launcher {
  /** Makes and pins the namespaces. `reaperPid` is 0 without a shared PID namespace. */
  createSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<{ readonly reaperPid: number }>;
  /** Unpins what is there, after ending a creation of the same id that is still under way; succeeds on what is gone. */
  deleteSandbox(id: string, pins: SandboxPins, signal: AbortSignal): Promise<void>;
  /** Forks a shim that listens on `stateDir/shim.sock`. Resolves before the container is set up. */
  createContainer(launch: ContainerLaunch, signal: AbortSignal): Promise<{ readonly shimPid: number }>;
  /** Starts a forwarder that listens on `socket` (see forward.ts, which uses it). */
  forward(spec: ForwardSpec, signal: AbortSignal): Promise<{ readonly pid: number }>;
  /** Starts a process that does nothing, for `id`; it ends by itself when nobody moves it to another cgroup. */
  hold(id: string, signal: AbortSignal): Promise<{ readonly pid: number }>;
  /** Resolves when pods with user namespaces are possible with layers below `directory`; rejects with what is missing. */
  probe(directory: string, signal: AbortSignal): Promise<void>;
  close(): void;
}

interface Running {
  readonly child: ChildProcess;
  readonly channel: Channel;
}

/**
 * Starts the launcher and keeps one there: when it dies, the calls in flight fail with
 * LAUNCHER_UNAVAILABLE and the next call starts another. Shims do not notice.
 */
export function startLauncher(options: { readonly program: string; readonly log: Logger }): Launcher {
  let running: Running | undefined;
  let closed = false;

  const start = (): Running => {
    const child = spawn(options.program, ['launcher'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'], env: {}, cwd: '/' });
    const channel = new Channel(child.stdio[3] as Duplex, {
      peer: 'launcher',
      onClose: () => {
        if (running?.child === child) running = undefined;
      },
    });
    // A program that cannot be started has no `exit`.
    child.on('error', (err) => {
      options.log.error({ err, program: options.program }, 'launcher cannot be started');
      channel.close();
    });
    child.on('exit', (code, signal) => {
      if (!closed) options.log.error({ code, signal, pid: child.pid }, 'launcher died; the next launch starts another');
      channel.close();
    });
    options.log.debug({ pid: child.pid }, 'launcher started');
    return { child, channel };
  };

  const call = async (type: MessageType, payload: object, signal: AbortSignal): Promise<Record<string, unknown>> => {
    if (closed) throw new BerthError('LAUNCHER_UNAVAILABLE', 'launcher: berthd is shutting down');
    running ??= start();
    try {
      return await running.channel.request(type, payload, signal);
    } catch (cause) {
      if (cause instanceof BerthError && cause.code === 'SHIM_UNAVAILABLE') {
        throw new BerthError('LAUNCHER_UNAVAILABLE', cause.message, { cause });
      }
      throw cause;
    }
  };

  running = start();
  return {
    async createSandbox({ idMaps, ...spec }, signal) {
      const maps = { uidMappings: idMaps?.uids ?? [], gidMappings: idMaps?.gids ?? [] };
      const result = await call(messageType.SANDBOX_CREATE, { ...spec, ...maps }, signal);
      return { reaperPid: Number(result['reaperPid'] ?? 0) };
    },
    async deleteSandbox(id, pins, signal) {
      const { net, ipc, uts, pid, user, shm } = pins;
      await call(messageType.SANDBOX_DELETE, { id, net, ipc, uts, pid, user, shm }, signal);
    },
    async createContainer(launch, signal) {
      const result = await call(messageType.CONTAINER_CREATE, launch, signal);
      return { shimPid: Number(result['pid'] ?? 0) };
    },
    async forward(spec, signal) {
      const { net, socket } = spec;
      const result = await call(messageType.FORWARD, { net, socket }, signal);
      return { pid: Number(result['pid'] ?? 0) };
    },
    async hold(id, signal) {
      const result = await call(messageType.HOLD, { id }, signal);
      return { pid: Number(result['pid'] ?? 0) };
    },
    async probe(directory, signal) {
      await call(messageType.PROBE, { directory }, signal);
    },
    close() {
      closed = true;
      running?.channel.close();
    },
  };
}
