import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readShimStatus } from '../shim/status.ts';
import { isFullId } from '../state/ids.ts';
import { sandboxTo } from '../state/sandbox.ts';
import { finish, finishUnknown, settleLostShim, superviseShim } from './container/exit.ts';
import { endHungShim } from './container/hung-shim.ts';
import { removeContainer } from './container/remove.ts';
import { retainImages } from './container/resources.ts';
import { possiblePins, releaseSandbox } from './pod-sandbox/resources.ts';
import { containerFound, sandboxFound } from './events/announce.ts';
import { stopSandbox } from './pod-sandbox/stop.ts';
import { bundleCgroup, quarantinedContainer, quarantinedSandbox } from './quarantine.ts';
import type { Container, Runtime, Sandbox } from './runtime.ts';

/** How long one shim may take to answer at start, in ms. */
const shimPatience = 5_000;

/**
 * Makes memory agree with the machine, before the socket is served: reads the records, connects to the
 * shims, finishes or undoes what was half done, releases what belongs to nobody.
 */
export async function recover(runtime: Runtime): Promise<void> {
  await loadSandboxes(runtime);
  await loadContainers(runtime);
  await Promise.all([...runtime.containers.values()].map((container) => recoverContainer(runtime, container)));
  await Promise.all([...runtime.sandboxes.values()].map((sandbox) => recoverSandbox(runtime, sandbox)));
  await attempt(runtime, 'end shims without a record', () => sweepShims(runtime));
  await attempt(runtime, 'unpin namespaces without a record', () => sweepNamespaces(runtime));
  const valid = [...runtime.sandboxes.values()].map(({ record }) => record.id);
  await attempt(runtime, 'release addresses without a sandbox', () => runtime.network.collect(valid, AbortSignal.timeout(60_000)));
}

/** Left-overs that cannot be cleared must not keep the node from serving. */
async function attempt(runtime: Runtime, attempted: string, work: () => Promise<unknown>): Promise<void> {
  await work().catch((err: unknown) => runtime.log.error({ err }, `cannot ${attempted}; the next start tries again`));
}

async function loadSandboxes(runtime: Runtime): Promise<void> {
  const { records, broken } = await runtime.sandboxStore.load();
  const quarantined = broken.filter(({ id }) => isFullId(id)).map(({ id, reason }) => {
    runtime.log.error({ sandbox: id, reason }, 'the record cannot be read; the sandbox is quarantined and can be removed');
    return quarantinedSandbox(runtime, id);
  });
  for (const record of [...records.toSorted(byCreation), ...quarantined]) {
    const sandbox: Sandbox = { record, stopping: false };
    runtime.sandboxes.set(record.id, sandbox);
    sandboxFound(runtime, sandbox);
    runtime.sandboxNames.claim(record.name, record.id);
  }
}

async function loadContainers(runtime: Runtime): Promise<void> {
  const { records, broken } = await runtime.containerStore.load();
  const quarantined = await Promise.all(broken.filter(({ id }) => isFullId(id)).map(({ id, reason }) => {
    runtime.log.error({ container: id, reason }, 'the record cannot be read; the container is quarantined and can be removed');
    return quarantinedContainer(runtime, id);
  }));
  for (const record of [...records.toSorted(byCreation), ...quarantined]) {
    const container: Container = { record, shim: undefined, stopSignalSent: false, reconnected: false, exited: Promise.withResolvers() };
    if (record.phase === 'exited') container.exited.resolve();
    runtime.containers.set(record.id, container);
    containerFound(runtime, container);
    runtime.containerNames.claim(record.name, record.id);
    if (record.ledger.includes('image') && record.imageId !== '') retainImages(runtime, record);
  }
}

function byCreation(a: { readonly createdAt: string }, b: { readonly createdAt: string }): number {
  return BigInt(a.createdAt) < BigInt(b.createdAt) ? -1 : 1;
}

async function recoverContainer(runtime: Runtime, container: Container): Promise<void> {
  const { id, phase, bootId } = container.record;
  try {
    if (phase === 'creating') {
      // Its id was never told to anybody.
      await reconnect(runtime, container).catch(() => undefined);
      await removeContainer(runtime, container);
    } else if (phase !== 'exited' && bootId !== runtime.bootId) {
      await finishUnknown(runtime, container, 'the node was restarted while the container ran');
    } else if (phase !== 'exited') {
      await reconnect(runtime, container);
    }
  } catch (err) {
    runtime.log.error({ err, container: id }, 'container cannot be recovered wholly; removing it tries again');
  }
}

/** Takes up the connection to a shim that has lived on, or settles what became of the container. */
async function reconnect(runtime: Runtime, container: Container): Promise<void> {
  const { record } = container;
  const told = await readShimStatus(runtime.paths.shim(record.id));
  if (told?.state === 'exited' && record.phase !== 'creating') return finish(runtime, container, told);
  try {
    await superviseShim(runtime, container, AbortSignal.timeout(shimPatience));
  } catch (err) {
    runtime.log.warn({ err, container: record.id }, 'shim does not answer');
    await settleLostShim(runtime, container);
  }
}

async function recoverSandbox(runtime: Runtime, sandbox: Sandbox): Promise<void> {
  const { record } = sandbox;
  try {
    if (record.phase === 'creating') await undoCreation(runtime, sandbox);
    else if (record.bootId !== runtime.bootId && record.phase === 'ready') await stopSandbox(runtime, sandbox);
  } catch (err) {
    runtime.log.error({ err, sandbox: record.id }, 'sandbox cannot be recovered wholly; stopping and removing it tries again');
  }
}

async function undoCreation(runtime: Runtime, sandbox: Sandbox): Promise<void> {
  const { record } = sandbox;
  const { left } = await releaseSandbox(runtime, record, record.ledger);
  if (left.length > 0) {
    sandbox.record = sandboxTo(record, 'stopped', { ledger: left });
    return runtime.sandboxStore.save(sandbox.record);
  }
  await runtime.sandboxStore.remove(record.id);
  runtime.sandboxes.delete(record.id);
  runtime.sandboxNames.release(record.name, record.id);
}

/** Shims whose container has no record: ends them. */
async function sweepShims(runtime: Runtime): Promise<void> {
  const directory = join(runtime.config.state, 'shims');
  for (const id of await readdir(directory).catch(() => [])) {
    if (!isFullId(id) || runtime.containers.find(id) !== undefined) continue;
    runtime.log.warn({ container: id }, 'ending a shim whose container has no record');
    await attempt(runtime, `end shim ${id}`, () => endShim(runtime, id));
  }
}

/** The bundle goes last: it alone tells where the cgroup is. */
async function endShim(runtime: Runtime, id: string): Promise<void> {
  const cgroup = await bundleCgroup(runtime, id);
  if (cgroup !== '') {
    await runtime.cgroups.kill(cgroup);
    await runtime.cgroups.remove(cgroup, AbortSignal.timeout(shimPatience));
  }
  await endHungShim(runtime.paths.shim(id), id, runtime.log);
  await rm(runtime.paths.shim(id), { recursive: true, force: true });
}

/** Pinned namespaces whose sandbox has no record: unpins them. */
async function sweepNamespaces(runtime: Runtime): Promise<void> {
  const directory = join(runtime.config.state, 'ns');
  for (const id of await readdir(directory).catch(() => [])) {
    if (!isFullId(id) || runtime.sandboxes.find(id) !== undefined) continue;
    runtime.log.warn({ sandbox: id }, 'unpinning namespaces whose sandbox has no record');
    const pins = possiblePins(runtime, quarantinedSandbox(runtime, id));
    await attempt(runtime, `unpin namespaces of ${id}`, async () => {
      await runtime.launcher.deleteSandbox(id, pins, AbortSignal.timeout(shimPatience));
      await rm(join(directory, id), { recursive: true, force: true });
    });
  }
}
