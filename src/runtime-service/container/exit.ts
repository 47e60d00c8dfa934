import { readShimStatus } from '../../shim/status.ts';
import type { LogLosses, ShimStatus } from '../../shim/status.ts';
import { attachShim } from '../../shim/shim.ts';
import type { Shim } from '../../shim/shim.ts';
import { containerTo } from '../../state/container.ts';
import { containerChanged } from '../events/announce.ts';
import type { Container, Runtime } from '../runtime.ts';

/** Connects to a container's shim and follows it until its end. */
export async function superviseShim(runtime: Runtime, container: Container, signal: AbortSignal): Promise<Shim> {
  const { id } = container.record;
  const stateDir = runtime.paths.shim(id);
  let closed = false;
  const shim = await attachShim(
    { id, stateDir },
    {
      onStatus: (status) => {
        countLogLosses(runtime, container, status);
        if (status.state === 'running') started(runtime, container, status);
        if (status.state === 'exited') finish(runtime, container, status);
      },
      onClose: () => {
        closed = true;
        container.shim = undefined;
        settleLostShim(runtime, container).catch((err: unknown) => runtime.log.error({ err, container: id }, 'container cannot be settled'));
      },
    },
    signal,
  );
  if (!closed) container.shim = shim;
  return shim;
}

/** The container's program runs, as the shim told it: by its event, which also comes when nobody waits for the reply. */
export function started(runtime: Runtime, container: Container, status: Pick<ShimStatus, 'pid' | 'startedAt'>): void {
  if (container.record.phase !== 'created') return;
  container.record = containerTo(container.record, 'running', { pid: status.pid, startedAt: String(status.startedAt) });
  containerChanged(runtime, container);
  runtime.containerStore
    .save(container.record)
    .catch((err: unknown) => runtime.log.error({ err, container: container.record.id }, 'the start is not saved'));
}

/** Adds what the container's log has lost since the last time. A shim's numbers only grow. */
function countLogLosses(runtime: Runtime, container: Container, { logDropped, logLimited }: LogLosses): void {
  const before = container.logLosses ?? { logDropped: 0, logLimited: 0 };
  container.logLosses = { logDropped, logLimited };
  if (logDropped > before.logDropped) runtime.metrics.logEntriesDropped('file', logDropped - before.logDropped);
  if (logLimited > before.logLimited) runtime.metrics.logEntriesDropped('rate', logLimited - before.logLimited);
}

/** The end of a container, as its shim told it. */
export function finish(runtime: Runtime, container: Container, status: ShimStatus): void {
  const { record } = container;
  if (record.phase !== 'created' && record.phase !== 'running') return;
  countLogLosses(runtime, container, status);
  container.record = containerTo(record, 'exited', {
    startedAt: status.startedAt > 0n ? String(status.startedAt) : record.startedAt,
    finishedAt: String(status.finishedAt),
    exitCode: status.exitCode,
    exitKnown: true,
    oomKilled: status.oomKilled,
    message: status.error?.message ?? '',
  });
  conclude(runtime, container);
}

/** How long a shim that has closed its connection may take to answer a new one, in ms. */
const reconnectPatience = 5_000;

/**
 * The shim's connection is gone. After a normal end its last word is in status.json. A shim that lives
 * on is connected to again. Otherwise nobody knows the exit status: what is left of the container is
 * ended and the status is unknown, never 0.
 */
export async function settleLostShim(runtime: Runtime, container: Container): Promise<void> {
  const { record } = container;
  if (record.phase === 'created' || record.phase === 'running') {
    const status = await readShimStatus(runtime.paths.shim(record.id));
    if (status?.state === 'exited') finish(runtime, container, status);
    else if (await reconnected(runtime, container)) return;
    else await finishUnknown(runtime, container, 'the shim was lost and with it the exit status');
  }
  container.exited.resolve();
}

/** One new connection in the life of a container: a shim that closes that too is not to be relied on. */
async function reconnected(runtime: Runtime, container: Container): Promise<boolean> {
  if (container.reconnected) return false;
  container.reconnected = true;
  return superviseShim(runtime, container, AbortSignal.timeout(reconnectPatience)).then(() => true, () => false);
}

/** Ends what may be left of a container whose exit status cannot be known. */
export async function finishUnknown(runtime: Runtime, container: Container, message: string): Promise<void> {
  await runtime.cgroups.kill(container.record.cgroupPath);
  const { record } = container;
  if (record.phase === 'exited') return;
  runtime.metrics.shimLost();
  container.record = containerTo(record, 'exited', {
    finishedAt: String(runtime.clock.nowNanos()),
    exitCode: 255,
    exitKnown: false,
    message,
  });
  conclude(runtime, container);
}

function conclude(runtime: Runtime, container: Container): void {
  const { record } = container;
  const log = runtime.log.child({ container: record.id });
  log.info({ exitCode: record.exitCode, exitKnown: record.exitKnown, oomKilled: record.oomKilled }, 'container exited');
  containerChanged(runtime, container);
  runtime.containerStore.save(record).catch((err: unknown) => log.error({ err }, 'the exit status is not saved'));
  emptyCgroup(runtime, record.cgroupPath)
    .catch((err: unknown) => log.warn({ err }, 'cgroup of the exited container stays until it is removed'));
  container.exited.resolve();
}

/** In a shared PID namespace processes may outlive the container's first. */
async function emptyCgroup(runtime: Runtime, directory: string): Promise<void> {
  await runtime.cgroups.kill(directory);
  await runtime.cgroups.remove(directory, AbortSignal.timeout(10_000));
}
