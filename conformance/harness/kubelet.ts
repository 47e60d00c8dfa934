/** The calls of a kubelet in the order a kubelet makes them, with short forms for the tests. */

import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ContainerConfig } from '../../src/cri-server/generated/runtime/v1/ContainerConfig.ts';
import type { ContainerStatus__Output } from '../../src/cri-server/generated/runtime/v1/ContainerStatus.ts';
import type { PodSandboxConfig } from '../../src/cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import type { PodSandboxStatus__Output } from '../../src/cri-server/generated/runtime/v1/PodSandboxStatus.ts';
import type { CgroupBase } from './cgroup-base.ts';
import { CriError } from './cri-client.ts';
import type { CriClient } from './cri-client.ts';
import { readCriLog } from './cri-log.ts';
import type { LogLine } from './cri-log.ts';
import { eventually } from './wait.ts';

export interface Pod {
  readonly id: string;
  readonly config: PodSandboxConfig;
}

/** Any part of a pod's config; `linux` is merged into the defaults. */
export type PodOptions = Partial<PodSandboxConfig> & { readonly handler?: string };

export interface ContainerOptions extends Omit<Partial<ContainerConfig>, 'image' | 'metadata'> {
  readonly name?: string;
  readonly attempt?: number;
  readonly image: string;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface Kubelet {
  podConfig(options?: PodOptions): Promise<PodSandboxConfig>;
  runPod(options?: PodOptions): Promise<Pod>;
  containerConfig(options: ContainerOptions): ContainerConfig;
  create(pod: Pod, options: ContainerOptions): Promise<string>;
  /** Create and start. */
  run(pod: Pod, options: ContainerOptions): Promise<string>;
  /** Runs to the end and gives the status with the lines it logged. */
  runToEnd(pod: Pod, options: ContainerOptions): Promise<{ status: ContainerStatus__Output; lines: LogLine[] }>;
  exec(containerId: string, ...command: string[]): Promise<ExecResult>;
  status(containerId: string): Promise<ContainerStatus__Output>;
  podStatus(podId: string): Promise<PodSandboxStatus__Output>;
  /** The PID on this machine, from the verbose status. */
  pidOf(containerId: string): Promise<number>;
  waitExited(containerId: string): Promise<ContainerStatus__Output>;
  logs(pod: Pod, name?: string, attempt?: number): Promise<LogLine[]>;
  /** Stops and removes the pod and what a kubelet would clean up itself: logs and cgroup. */
  removePod(pod: Pod): Promise<void>;
  /** What a kubelet cleans up after a pod that never came to be. */
  tidy(config: PodSandboxConfig): Promise<void>;
  /** Everything that is there, after a test that failed half-way. */
  removeAll(): Promise<void>;
}

export interface KubeletScope {
  /** The client of now: it changes when the daemon's socket does. */
  readonly cri: () => CriClient;
  readonly cgroups: CgroupBase;
  /** Where pods' log directories are made. */
  readonly logs: string;
}

const DEFAULT_CONTAINER = 'main';
/** What a kubelet asks for unless the pod says otherwise. The zero of the contract would share the PID namespace. */
const KUBELET_NAMESPACES = { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } as const;
let counter = 0;

export function kubelet(scope: KubeletScope): Kubelet {
  const cri: CriClient = { timings: [], close: () => undefined, call: (rpc, request, options) => scope.cri().call(rpc, request, options) };
  const made: PodSandboxConfig[] = [];

  const tidy = async (config: PodSandboxConfig): Promise<void> => {
    if (config.log_directory) await rm(config.log_directory, { recursive: true, force: true });
    const uid = config.metadata?.uid ?? '';
    if (uid !== '') await scope.cgroups.removePod(uid);
  };
  const self: Kubelet = {
    podConfig: async (options = {}) => {
      const config = await podConfig(scope, options);
      made.push(config);
      return config;
    },
    runPod: async (options = {}) => {
      const config = await self.podConfig(options);
      const { pod_sandbox_id: id } = await cri.call('RunPodSandbox', { config, runtime_handler: options.handler ?? '' });
      return { id, config };
    },
    containerConfig,
    create: async (pod, options) => {
      const config = containerConfig(options);
      // A kubelet makes the directory of the container's log itself.
      if (config.log_path) await mkdir(path.dirname(path.join(pod.config.log_directory ?? '', config.log_path)), { recursive: true });
      return (await cri.call('CreateContainer', { pod_sandbox_id: pod.id, config, sandbox_config: pod.config })).container_id;
    },
    run: async (pod, options) => {
      const id = await self.create(pod, options);
      await cri.call('StartContainer', { container_id: id });
      return id;
    },
    runToEnd: async (pod, options) => {
      const status = await self.waitExited(await self.run(pod, options));
      return { status, lines: await self.logs(pod, options.name, options.attempt) };
    },
    exec: async (containerId, ...command) => {
      const { stdout, stderr, exit_code } = await cri.call('ExecSync', { container_id: containerId, cmd: command, timeout: 30 });
      return { stdout: bytes(stdout), stderr: bytes(stderr), exitCode: exit_code };
    },
    status: async (containerId) => {
      const { status } = await cri.call('ContainerStatus', { container_id: containerId });
      return present(status, 'ContainerStatus has no status');
    },
    podStatus: async (podId) => {
      const { status } = await cri.call('PodSandboxStatus', { pod_sandbox_id: podId });
      return present(status, 'PodSandboxStatus has no status');
    },
    pidOf: async (containerId) => {
      const { info } = await cri.call('ContainerStatus', { container_id: containerId, verbose: true });
      return (JSON.parse(info['info'] ?? '{}') as { pid: number }).pid;
    },
    waitExited: (containerId) =>
      eventually(`container ${containerId} has exited`, async () => {
        const status = await self.status(containerId);
        return status.state === 'CONTAINER_EXITED' ? status : undefined;
      }),
    logs: (pod, name = DEFAULT_CONTAINER, attempt = 0) => readCriLog(path.join(pod.config.log_directory ?? '', `${name}/${attempt}.log`)),
    removePod: async (pod) => {
      await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
      await cri.call('RemovePodSandbox', { pod_sandbox_id: pod.id });
      await tidy(pod.config);
    },
    tidy,
    removeAll: async () => {
      const { items } = await cri.call('ListPodSandbox', {});
      for (const { id } of items) {
        await ignoreCriError(cri.call('StopPodSandbox', { pod_sandbox_id: id }));
        await ignoreCriError(cri.call('RemovePodSandbox', { pod_sandbox_id: id }));
      }
      for (const config of made.splice(0)) await tidy(config);
    },
  };
  return self;
}

async function podConfig(scope: KubeletScope, options: PodOptions): Promise<PodSandboxConfig> {
  counter += 1;
  const { handler: _, linux, ...rest } = options;
  const namespaces = { ...KUBELET_NAMESPACES, ...linux?.security_context?.namespace_options };
  const metadata = { name: `pod-${counter}`, namespace: 'conformance', uid: randomUUID(), attempt: 0, ...options.metadata };
  const logDirectory = path.join(scope.logs, `${metadata.namespace}_${metadata.name}_${metadata.uid}`);
  await mkdir(logDirectory, { recursive: true });
  return {
    // A host-network pod has the node's name, and a kubelet does not send one.
    hostname: namespaces.network === 'NODE' ? '' : metadata.name,
    log_directory: logDirectory,
    ...rest,
    metadata,
    linux: {
      cgroup_parent: await scope.cgroups.makePod(metadata.uid),
      ...linux,
      security_context: { ...linux?.security_context, namespace_options: namespaces },
    },
  };
}

function containerConfig(options: ContainerOptions): ContainerConfig {
  const { name = DEFAULT_CONTAINER, attempt = 0, image, linux, ...rest } = options;
  const namespaces = { ...KUBELET_NAMESPACES, ...linux?.security_context?.namespace_options };
  return {
    metadata: { name, attempt },
    image: { image },
    log_path: `${name}/${attempt}.log`,
    ...rest,
    linux: { ...linux, security_context: { ...linux?.security_context, namespace_options: namespaces } },
  };
}

export function bytes(data: Buffer | Uint8Array | string): string {
  return Buffer.from(data).toString('utf8');
}

function present<T>(value: T | null, problem: string): T {
  if (value === null) throw new Error(problem);
  return value;
}

async function ignoreCriError(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof CriError)) throw error;
  }
}
