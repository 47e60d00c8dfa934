import { join } from 'node:path';
import type { ContainerConfig__Output } from '../../cri-server/generated/runtime/v1/ContainerConfig.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { CgroupWrite } from '../../cgroup/limits.ts';
import { cgroupWrites } from '../../cgroup/limits.ts';
import { BerthError, invalidField, wrapError } from '../../errors/catalogue.ts';
import type { ResolvedImage } from '../../image-service/images.ts';
import { NativeFailure } from '../../shim/channel.ts';
import { toBerthError } from '../../shim/native-error.ts';
import { readShimStatus } from '../../shim/status.ts';
import type { ShimStatus } from '../../shim/status.ts';
import { containerTo } from '../../state/container.ts';
import type { ContainerRecord, StoredContainerConfig } from '../../state/container.ts';
import { fingerprint } from '../../state/fingerprint.ts';
import { newId } from '../../state/ids.ts';
import { allSettled } from '../../state/settled.ts';
import { queued, step } from '../../telemetry/steps.ts';
import { berthConfig, ociConfig, writeBundle } from '../bundle/bundle.ts';
import type { BundleInput } from '../bundle/bundle.ts';
import { imageMountFailed, isImageDestination, resolveImageMounts } from '../bundle/image-mounts.ts';
import { stopSignal } from '../bundle/signals.ts';
import { containerMade } from '../events/announce.ts';
import { failedName } from '../pod-sandbox/resources.ts';
import { withCallerLost } from '../lost-caller.ts';
import type { Container, Runtime, Sandbox } from '../runtime.ts';
import { checkSelinuxOptions, hasSelinux, noteRelabels } from '../selinux.ts';
import { mountedImages, prepareBundle } from './bundle-input.ts';
import { superviseShim } from './exit.ts';
import { makeVolumes, makeWritableLayer, releaseContainer, retainImages } from './resources.ts';
import { joinNamespaces, validateContainerNamespaces } from './namespaces.ts';
import type { JoinedNamespaces } from './namespaces.ts';
import { validateContainer } from './validate.ts';

/** How long a container may take to be made, in ms, whoever still waits for it. */
const createDeadline = 120_000;

/** CreateContainer: the container's process is in place and waits when the call returns, or nothing of it is left. */
export function createContainer(runtime: Runtime): RuntimeHandlers['CreateContainer'] {
  return async (request, context) => {
    const config = withResolvedMounts(runtime, validateContainer(request.config));
    const security = config.linux?.security_context ?? null;
    // A privileged container has no label of its own.
    if (security?.privileged === false) checkSelinuxOptions(security.selinux_options, 'config.linux.security_context.selinux_options', hasSelinux(), context.log);
    noteRelabels(config.mounts, hasSelinux(), context.log);
    const sandbox = runtime.sandboxes.get(request.pod_sandbox_id, 'sandbox', 'SANDBOX_NOT_FOUND');
    requireReady(sandbox);
    requirePermitted(sandbox, config);
    validateContainerNamespaces(config.linux?.security_context?.namespace_options ?? null, sandbox.record.config);
    const reference = config.image?.image ?? '';
    const image = runtime.images.resolve(reference);
    if (image === undefined) throw new BerthError('IMAGE_NOT_FOUND', `config.image: image "${reference}" is not on this node`);
    const name = containerName(sandbox.record.id, config);
    const record = initialRecord(runtime, sandbox, image, config, newId(), name);
    const id = await runtime.containerNames.make(name, record.id, fingerprint(request.config), context.signal, () =>
      // Locked, so that a removal of the sandbox finds it whole or not at all.
      withCallerLost(context, `the creation of container ${record.id}`, () => runtime.locks.run(record.id, undefined, () => make(runtime, sandbox, image, record))),
    );
    return { container_id: id };
  };
}

function withResolvedMounts(runtime: Runtime, config: StoredContainerConfig): StoredContainerConfig {
  return { ...config, mounts: resolveImageMounts(config.mounts, runtime.images) };
}

function requireReady(sandbox: Sandbox): void {
  if (sandbox.record.phase !== 'ready' || sandbox.stopping) {
    throw new BerthError('SANDBOX_NOT_READY', `sandbox ${sandbox.record.id} is not ready`);
  }
}

/** "If a privileged container is to be executed within it, this MUST be true" (CRI, LinuxSandboxSecurityContext.privileged). */
function requirePermitted(sandbox: Sandbox, config: StoredContainerConfig): void {
  const privileged = config.linux?.security_context?.privileged ?? false;
  if (privileged && sandbox.record.config.linux?.security_context?.privileged !== true) {
    throw invalidField('config.linux.security_context.privileged', `sandbox ${sandbox.record.id} was not made for privileged containers`);
  }
}

export function containerName(sandboxId: string, config: Pick<ContainerConfig__Output, 'metadata'>): string {
  return `${config.metadata?.name}_${sandboxId}_${config.metadata?.attempt}`;
}

function initialRecord(
  runtime: Runtime,
  sandbox: Sandbox,
  image: ResolvedImage,
  config: StoredContainerConfig,
  id: string,
  name: string,
): ContainerRecord {
  const logDirectory = sandbox.record.config.log_directory;
  return {
    version: 1,
    id,
    sandboxId: sandbox.record.id,
    name,
    phase: 'creating',
    config,
    imageId: image.id,
    layers: [...image.layers, ...[...mountedImages(runtime, config).values()].flat()],
    imageRef: image.repoDigests[0] ?? image.id,
    bootId: runtime.bootId,
    createdAt: String(runtime.clock.nowNanos()),
    startedAt: '0',
    finishedAt: '0',
    pid: 0,
    exitCode: 0,
    exitKnown: false,
    oomKilled: false,
    message: '',
    user: undefined,
    logPath: logDirectory === '' || config.log_path === '' ? '' : join(logDirectory, config.log_path),
    cgroupPath: runtime.cgroups.containerDirectory(sandbox.record.cgroup.path, id),
    stopSignal: stopSignal(config.stop_signal, image.config.stopSignal),
    ledger: ['image', 'directory', 'cgroup', 'shim'],
  };
}

async function make(runtime: Runtime, sandbox: Sandbox, image: ResolvedImage, initial: ContainerRecord): Promise<void> {
  const signal = AbortSignal.timeout(createDeadline);
  const container: Container = { record: initial, shim: undefined, stopSignalSent: false, reconnected: false, exited: Promise.withResolvers() };
  retainImages(runtime, initial);
  runtime.containers.set(initial.id, container);
  let joined: JoinedNamespaces | undefined;
  try {
    joined = await joinNamespaces(runtime, sandbox, initial, signal);
    const bundle = await prepareBundle(runtime, sandbox, image, initial, joined);
    const files = { oci: ociConfig(bundle), berth: berthConfig(bundle) };
    await queued(runtime.launches, 'container.queue', () => setUp(runtime, container, bundle, files, signal));
    // A stop that began meanwhile has killed the containers that it found; this one came late.
    requireReady(sandbox);
    containerMade(runtime, container);
  } catch (cause) {
    await undo(runtime, container).catch((err: unknown) => runtime.log.error({ err, container: initial.id }, 'a failed container cannot be undone'));
    throw creationFailed(initial, cause);
  } finally {
    await joined?.target?.close();
  }
}

function creationFailed({ id, config }: ContainerRecord, cause: unknown): BerthError {
  const attempted = `create container ${id}`;
  if (!(cause instanceof NativeFailure)) return wrapError(attempted, cause);
  const ofImage = cause.detail.step === 'mount' && isImageDestination(config.mounts, cause.detail.path);
  return toBerthError(ofImage ? `${imageMountFailed}: ${attempted}` : attempted, cause.detail);
}

async function setUp(
  runtime: Runtime,
  container: Container,
  bundle: BundleInput,
  files: { readonly oci: object; readonly berth: object },
  signal: AbortSignal,
): Promise<void> {
  const { record } = container;
  await step('container.record', () => runtime.containerStore.save(record));
  await allSettled([
    step('container.rootfs', () => makeWritableLayer(runtime.containerStore.directoryOf(record.id), bundle.rootfs.lower[0], bundle.mounts.idMaps)),
    makeVolumes(bundle.mounts),
    step('container.bundle', () => writeBundle(runtime.paths.shim(record.id), files.oci, files.berth)),
    step('container.cgroup', () => runtime.cgroups.create(record.cgroupPath, containerWrites(runtime, record))),
  ]);
  const status = await step('container.launch', () => launch(runtime, container, signal));
  container.record = containerTo(record, 'created', { pid: status.pid, user: status.user });
  await step('container.record', () => runtime.containerStore.save(container.record));
}

function containerWrites(runtime: Runtime, record: ContainerRecord): CgroupWrite[] {
  const limit = runtime.config.runtime.pidsLimit;
  const pids = limit > 0 ? [{ file: 'pids.max', value: String(limit) }] : [];
  return [...pids, ...cgroupWrites(record.config.linux?.resources ?? null, 'config.linux.resources')];
}

/** Forks the shim and waits until the container's process stands ready. */
async function launch(runtime: Runtime, container: Container, signal: AbortSignal): Promise<ShimStatus> {
  const { id } = container.record;
  const stateDir = runtime.paths.shim(id);
  await runtime.launcher.createContainer({ id, bundle: stateDir, stateDir }, signal);
  let status: ShimStatus | undefined;
  try {
    const shim = await superviseShim(runtime, container, signal);
    status = await shim.created(signal);
  } catch (cause) {
    status = await lastWord(stateDir);
    if (status === undefined) throw cause;
  }
  if (status.error !== undefined) throw new NativeFailure(status.error);
  if (status.state !== 'created') throw new BerthError('CONTAINER_SETUP_FAILED', `the container's process ended before it was started`);
  return status;
}

/** What a shim that failed at once, before anybody listened, has left in its status.json: it writes that before it goes. */
async function lastWord(stateDir: string): Promise<ShimStatus | undefined> {
  const status = await readShimStatus(stateDir);
  return status?.error === undefined ? undefined : status;
}

/**
 * Takes everything back. What cannot be taken back keeps the container listed, exited, for Remove to
 * retry, but not under its name, which a new attempt may take.
 */
async function undo(runtime: Runtime, container: Container): Promise<void> {
  const { left } = await releaseContainer(runtime, container, container.record.ledger);
  const { id, name } = container.record;
  if (left.length === 0) {
    runtime.containers.delete(id);
    await runtime.containerStore.remove(id);
    return;
  }
  runtime.log.error({ container: id, name, left }, 'a failed creation could not be undone wholly');
  const changes = { ledger: left, name: failedName(id), finishedAt: String(runtime.clock.nowNanos()), exitCode: 255, message: 'creation failed' };
  container.record = container.record.phase === 'exited' ? { ...container.record, ...changes } : containerTo(container.record, 'exited', changes);
  container.exited.resolve();
  await runtime.containerStore.save(container.record);
}
