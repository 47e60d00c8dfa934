import { BerthError } from '../errors/catalogue.ts';
import { Channel } from './channel.ts';
import { connectShim } from './connect.ts';
import { messageType, parseControl } from './protocol.ts';
import type { Frame } from './protocol.ts';
import { parseShimStatus } from './status.ts';
import type { ShimStatus } from './status.ts';
import { untilAborted } from '../state/keyed-lock.ts';

/** One container's shim, over its control connection. Rejections: NativeFailure, SHIM_UNAVAILABLE, the signal's reason. */
export interface Shim {
  /** The latest status heard from the shim. */
  readonly status: ShimStatus;
  /** Resolves when the shim has left the state `creating`, or rejects when its connection ends before or the signal aborts. */
  created(signal: AbortSignal): Promise<ShimStatus>;
  start(signal: AbortSignal): Promise<{ readonly pid: number; readonly startedAt: bigint }>;
  /** Rejects with ESRCH unless the container's first process is there, dead or alive, at this moment. */
  probe(signal: AbortSignal): Promise<void>;
  /** Signals the container's init, or with `all` every process of its cgroup. */
  kill(signalNumber: number, all: boolean, signal: AbortSignal): Promise<void>;
  reopenLog(signal: AbortSignal): Promise<void>;
  /** Lets go of the shim, which goes on; the observer hears nothing more. */
  detach(): void;
}

export interface ShimObserver {
  /** Every change of state, in order. */
  onStatus(status: ShimStatus): void;
  /** Once, after `attachShim` has resolved or is about to: the connection has ended. After `exited` or `failed` that is the normal end. */
  onClose(): void;
}

/** Connects to the shim and subscribes to its events. When it rejects the observer has heard nothing of the end. */
export async function attachShim(
  target: { readonly id: string; readonly stateDir: string },
  observer: ShimObserver,
  signal: AbortSignal,
): Promise<Shim> {
  const socket = await connectShim(target.stateDir, target.id, signal);
  const created = Promise.withResolvers<ShimStatus>();
  created.promise.catch(() => undefined);
  let status: ShimStatus | undefined;
  let subscribed = false;
  let detached = false;

  const adopt = (next: ShimStatus | undefined): void => {
    if (next === undefined) return;
    status = next;
    if (next.state !== 'creating') created.resolve(next);
    observer.onStatus(next);
  };
  const channel = new Channel(socket, {
    peer: `shim of container ${target.id}`,
    onFrame: (frame: Frame) => {
      if (frame.type === messageType.EVENT) adopt(parseShimStatus(parseControl(frame)));
    },
    onClose: (error) => {
      created.reject(error);
      if (subscribed && !detached) observer.onClose();
    },
  });
  try {
    const first = parseShimStatus(await channel.request(messageType.SUBSCRIBE, {}, signal));
    if (first === undefined) throw new BerthError('SHIM_PROTOCOL', `shim of container ${target.id} gave no status`);
    // Events that came with the reply have been adopted already, and are newer.
    if (status === undefined) adopt(first);
  } catch (cause) {
    detached = true;
    channel.close();
    throw cause;
  }
  subscribed = true;
  if (channel.closed) observer.onClose();
  const current = (): ShimStatus => {
    if (status === undefined) throw new BerthError('SHIM_PROTOCOL', `shim of container ${target.id} gave no status`);
    return status;
  };

  return {
    get status() {
      return current();
    },
    created: (abort) => untilAborted(created.promise, abort),
    async start(abort) {
      const { pid, startedAt } = await channel.request(messageType.START, {}, abort);
      return { pid: Number(pid ?? 0), startedAt: BigInt(typeof startedAt === 'string' ? startedAt : 0) };
    },
    async kill(signalNumber, all, abort) {
      await channel.request(messageType.KILL, { signal: signalNumber, all }, abort);
    },
    async probe(abort) {
      await channel.request(messageType.KILL, { signal: 0, all: false }, abort);
    },
    async reopenLog(abort) {
      await channel.request(messageType.REOPEN_LOG, {}, abort);
    },
    detach() {
      detached = true;
      channel.close();
    },
  };
}
