/** A Berth of the bench's own and, where a socket is given, another CRI runtime beside it, with the same image. */

import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectCri } from '../conformance/harness/cri-client.ts';
import type { CriClient } from '../conformance/harness/cri-client.ts';
import { prepareDaemon } from '../conformance/harness/daemon.ts';
import { busybox } from '../conformance/harness/images.ts';
import { push } from '../conformance/harness/push.ts';
import { startRegistry } from '../conformance/harness/registry.ts';

const image = 'docker.io/library/busybox:latest';
const namespaces = { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } as const;

export interface Runtime {
  readonly name: string;
  readonly version: string;
  readonly cri: CriClient;
  /** A directory that both this process and the runtime see. */
  readonly logs: string;
}

export interface Running {
  readonly pod: string;
  readonly container: string;
  readonly log: string;
}

async function connect(socket: string, logs: string): Promise<Runtime> {
  const cri = connectCri(socket);
  const { runtime_name: name, runtime_version: version } = await cri.call('Version', {});
  if ((await cri.call('ImageStatus', { image: { image } })).image === null) await cri.call('PullImage', { image: { image } });
  return { name, version, cri, logs };
}

/** Calls `use` with Berth first and, given its socket, the peer second, and with the process id of Berth's daemon. Ends what it has begun. */
export async function withRuntimes(options: { readonly peer: string | undefined; readonly cniBinDir: string }, use: (runtimes: readonly Runtime[], daemonPid: number) => Promise<void>): Promise<void> {
  const registry = await startRegistry();
  const logs = await mkdtemp(path.join(tmpdir(), 'berth-bench-'));
  // The same name that the peer knows leads to our own registry.
  const daemon = await prepareDaemon({ registries: { _default: registry.url }, logLevel: 'info', cniBinDir: options.cniBinDir });
  const runtimes: Runtime[] = [];
  try {
    await push(registry, 'library/busybox', 'latest', busybox());
    await daemon.start();
    runtimes.push(await connect(daemon.socket, logs));
    if (options.peer !== undefined) runtimes.push(await connect(`unix://${options.peer.replace(/^unix:\/\//, '')}`, logs));
    await use(runtimes, daemon.pid);
  } finally {
    for (const { cri } of runtimes) cri.close();
    await daemon.dispose();
    await registry.stop();
    await rm(logs, { recursive: true, force: true });
  }
}

/** A pod with one container that runs `command`. */
export async function run({ cri, logs }: Runtime, command: readonly string[]): Promise<Running> {
  const uid = randomUUID();
  const log_directory = path.join(logs, uid);
  await mkdir(log_directory, { recursive: true });
  const sandbox_config = { metadata: { name: uid, namespace: 'bench', uid, attempt: 0 }, log_directory, linux: { security_context: namespaces } };
  const { pod_sandbox_id: pod } = await cri.call('RunPodSandbox', { config: sandbox_config });
  const config = { metadata: { name: 'main', attempt: 0 }, image: { image }, command: [...command], log_path: 'main.log', linux: { security_context: namespaces } };
  const { container_id: container } = await cri.call('CreateContainer', { pod_sandbox_id: pod, config, sandbox_config });
  await cri.call('StartContainer', { container_id: container });
  return { pod, container, log: path.join(log_directory, 'main.log') };
}

export async function remove({ cri }: Runtime, { pod }: Running): Promise<void> {
  await cri.call('StopPodSandbox', { pod_sandbox_id: pod });
  await cri.call('RemovePodSandbox', { pod_sandbox_id: pod });
}
