import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { Cgroups } from '../../cgroup/cgroups.ts';
import type { Config } from '../../config/config.ts';
import type { ContainerEventResponse } from '../../cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import type { Handler, RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { ImageProvider } from '../../image-service/images.ts';
import type { PodNetwork } from '../../pod-network/pod-network.ts';
import type { Launcher, SandboxSpec } from '../../shim/launcher.ts';
import { FakeShim } from '../../shim/testing/fake-shim.ts';
import type { CallContext } from '../../telemetry/call-context.ts';
import type { ForwardRequest, ProcessRequest } from '../../streaming/requests.ts';
import { createRuntimeMetrics } from '../../telemetry/runtime-metrics.ts';
import { createRuntimeService } from '../service.ts';
import type { RuntimeService } from '../service.ts';
import { containerConfig, imageConfig, podConfig, podLinux, podSecurity } from './requests.ts';

/** Every place where a fake can be made to fail or to wait. */
export type Point =
  | 'launcher.createSandbox' | 'launcher.deleteSandbox' | 'launcher.createContainer'
  | 'cgroups.create' | 'cgroups.update' | 'cgroups.remove' | 'network.setUp' | 'network.tearDown';

type HandlerName = { [Name in keyof RuntimeHandlers]: RuntimeHandlers[Name] extends Handler<never, unknown> ? Name : never }[keyof RuntimeHandlers];

const log = pino({ level: 'silent' });

/**
 * A runtime service over a temporary directory, with fakes of everything that touches the machine: they
 * remember what they gave out, so that a test can ask what is left. The shims are real sockets.
 */
export class Rig {
  readonly directory: string;
  readonly shims = new Map<string, FakeShim>();
  readonly pinned = new Map<string, SandboxSpec>();
  readonly cgroupDirectories = new Set<string>();
  readonly limits = new Map<string, readonly string[]>();
  readonly attached = new Set<string>();
  readonly retained = new Set<string>();
  /** Of the run of now. */
  metrics = new Registry();
  /** What stands behind the streaming URLs that were given out. */
  readonly streams = new Map<string, ProcessRequest | ForwardRequest>();
  readonly hooks = new Map<Point, () => Promise<void>>();
  /** What a new container's shim does once it listens; by default it is `created` at once. */
  onLaunch: (shim: FakeShim) => Promise<void> = async (shim) => void (await shim.listen('created'));
  #service: RuntimeService | undefined;
  #now = 1_000_000_000n;

  static async make(): Promise<Rig> {
    const rig = new Rig(await mkdtemp(join(tmpdir(), 'berth-rig-')));
    await mkdir(join(rig.directory, 'layer'));
    await rig.start();
    return rig;
  }

  private constructor(directory: string) {
    this.directory = directory;
  }

  async start(): Promise<void> {
    this.metrics = new Registry();
    this.#service = await createRuntimeService({
      config: this.#config(),
      log,
      clock: { nowNanos: () => (this.#now += 1n) },
      launcher: this.#launcher(),
      cgroups: this.#cgroups(),
      network: this.#network(),
      images: this.#images(),
      confinement: {
        seccomp: { filter: async (choice) => (choice.kind === 'unconfined' ? undefined : `/filters/${choice.kind}`) },
        appArmor: { enabled: false, profile: async () => undefined },
      },
      metrics: createRuntimeMetrics(this.metrics),
      streams: {
        exec: (request) => this.#stream('exec', request),
        attach: (request) => this.#stream('attach', request),
        portForward: (request) => this.#stream('portforward', request),
      },
    });
  }

  #stream(kind: string, request: ProcessRequest | ForwardRequest): string {
    const url = `http://streams/${kind}/${this.streams.size}`;
    this.streams.set(url, request);
    return url;
  }

  /** As a kill of berthd: the shims live on. */
  async restart(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#service?.close();
    await meanwhile();
    await this.start();
  }

  async close(): Promise<void> {
    this.#service?.close();
    for (const shim of this.shims.values()) shim.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Calls an RPC; parts of the request that matter are given, the rest has no meaning to the handlers. */
  call<Name extends HandlerName>(name: Name, request: Partial<Parameters<RuntimeHandlers[Name]>[0]>, signal?: AbortSignal): ReturnType<RuntimeHandlers[Name]> {
    const handler = this.#service?.handlers[name] as ((request: unknown, context: CallContext) => ReturnType<RuntimeHandlers[Name]>) | undefined;
    if (handler === undefined) throw new Error(`no handler ${name}`);
    return handler(request, { signal: signal ?? new AbortController().signal, log, requestId: 'test' });
  }

  /** Events from now on, as a client that reads at once sees them. */
  events(): { readonly seen: ContainerEventResponse[]; readonly ended: Promise<void>; end(): void } {
    const controller = new AbortController();
    const context = { signal: controller.signal, log, requestId: 'test' };
    const stream = this.#service?.handlers.GetContainerEvents?.({}, context);
    if (stream === undefined) throw new Error('no handler GetContainerEvents');
    const seen: ContainerEventResponse[] = [];
    const read = async (): Promise<void> => {
      for await (const event of stream) seen.push(event);
    };
    return { seen, ended: read().catch(() => undefined), end: () => controller.abort() };
  }

  async pod(config = podConfig({ linux: podLinux({ security_context: podSecurity() }) }), signal?: AbortSignal): Promise<string> {
    const { pod_sandbox_id: id } = await this.call('RunPodSandbox', { config, runtime_handler: '' }, signal);
    return id ?? '';
  }

  async container(sandboxId: string, config = containerConfig(), signal?: AbortSignal): Promise<string> {
    const { container_id: id } = await this.call('CreateContainer', { pod_sandbox_id: sandboxId, config, sandbox_config: null }, signal);
    return id ?? '';
  }

  async running(sandboxId: string, config = containerConfig()): Promise<string> {
    const id = await this.container(sandboxId, config);
    await this.call('StartContainer', { container_id: id });
    return id;
  }

  shim(id: string): FakeShim {
    const shim = this.shims.get(id);
    if (shim === undefined) throw new Error(`no shim ${id}`);
    return shim;
  }

  /** Makes the next pass through `point` fail. */
  failAt(point: Point, times = 1): void {
    let left = times;
    this.hooks.set(point, () => (left-- > 0 ? Promise.reject(new Error(`${point} fails`)) : Promise.resolve()));
  }

  /** Makes whoever comes to `point` wait; `reached` resolves when somebody does. */
  holdAt(point: Point): { readonly reached: Promise<void>; release(): void } {
    const reached = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    this.hooks.set(point, () => {
      reached.resolve();
      return gate.promise;
    });
    return { reached: reached.promise, release: gate.resolve };
  }

  /** Everything that is still held on the machine or written down. */
  async left(): Promise<string[]> {
    const found = [...this.pinned.keys(), ...this.cgroupDirectories, ...this.attached, ...this.retained];
    for (const path of ['root/sandboxes', 'root/containers', 'state/ns', 'state/shims']) {
      found.push(...(await readdir(join(this.directory, path))).map((name) => `${path}/${name}`));
    }
    return found;
  }

  async #pass(point: Point): Promise<void> {
    await this.hooks.get(point)?.();
  }

  #config(): Config {
    const root = join(this.directory, 'root');
    return {
      root,
      state: join(this.directory, 'state'),
      listen: 'unix:///nowhere',
      logLevel: 'info',
      streamAddress: '',
      metricsAddress: '',
      nriSocket: '',
      cni: { confDir: '', binDirs: [], netnsDir: join(this.directory, 'netns'), defaultNetwork: false, defaultSubnets: [], timeoutSeconds: 1 },
      registry: { configDir: '', dockerCertsDir: '', authFile: '', maxConcurrentDownloads: 1, maxConcurrentUnpacks: 1, maxConcurrentPerPull: 1, attempts: 1, retryDelayMilliseconds: 1, progressTimeoutSeconds: 1 },
      stream: { tls: false, tlsCertificate: '', tlsKey: '', idleTimeoutSeconds: 60, maxSessions: 4, maxPending: 4 },
      images: { pinnedImages: [], maxLayerBytes: 1, maxLayerEntries: 1, maxLayerRatio: 1, maxPathLength: 1 },
      cdi: { specDirs: [join(this.directory, 'cdi')] },
      runtime: { cgroupDriver: 'cgroupfs', allowMissingControllers: true, pidsLimit: 512, privilegedWithoutHostDevices: false, logRateLimit: 0, maxConcurrentLaunches: 4 },
    };
  }

  #launcher(): Launcher {
    return {
      createSandbox: async (spec) => {
        await this.#pass('launcher.createSandbox');
        this.pinned.set(spec.id, { ...spec, ...(this.pinned.has(spec.id) ? { net: 'also' } : {}) });
        return { reaperPid: spec.pid === '' ? 0 : 99 };
      },
      deleteSandbox: async (_id, pins) => {
        await this.#pass('launcher.deleteSandbox');
        this.pinned.delete(basename(dirname(pins.pid)));
      },
      probe: () => Promise.resolve(),
      hold: () => Promise.reject(new Error('no scopes here')),
      createContainer: async ({ id, stateDir }) => {
        await this.#pass('launcher.createContainer');
        const shim = new FakeShim(id, stateDir);
        this.shims.set(id, shim);
        await this.onLaunch(shim);
        return { shimPid: process.pid };
      },
      forward: () => Promise.resolve({ pid: process.pid }),
      close: () => undefined,
    };
  }

  #cgroups(): Cgroups {
    const root = '/cgroup';
    const directories = this.cgroupDirectories;
    const parents = (directory: string): string[] => (directory === root ? [] : [...parents(dirname(directory)), directory]);
    return {
      driver: 'cgroupfs',
      hierarchy: { mountPoint: root, controllers: new Set(), missing: [] },
      podDirectory: (parent, id) => resolve(join(root, parent === '' ? `berth/${id}` : parent)),
      containerDirectory: (pod, id) => join(pod, id),
      reaperDirectory: (pod) => join(pod, 'berth-reaper'),
      isContainerDirectory: (directory, id) => basename(directory) === id,
      absolute: (path) => join(root, path),
      exists: (directory) => Promise.resolve(directories.has(directory)),
      populated: (directory) => Promise.resolve(directories.has(directory)),
      missing: (directory) => Promise.resolve(parents(directory).filter((path) => !directories.has(path))),
      create: async (directory, writes) => {
        await this.#pass('cgroups.create');
        for (const path of parents(directory)) directories.add(path);
        this.limits.set(directory, writes.map(({ file, value }) => `${file}=${value}`));
      },
      update: async (directory, writes) => {
        const before = this.limits.get(directory) ?? [];
        await this.#pass('cgroups.update');
        this.limits.set(directory, [...before, ...writes.map(({ file, value }) => `${file}=${value}`)]);
        return async () => void this.limits.set(directory, before);
      },
      kill: async (directory) => {
        await this.shims.get(basename(directory))?.exit(137, 9);
      },
      remove: async (directory) => {
        await this.#pass('cgroups.remove');
        for (const path of [...directories]) if (path === directory || path.startsWith(`${directory}/`)) directories.delete(path);
      },
      removeIfEmpty: async (directory) => {
        if (![...directories].some((path) => path.startsWith(`${directory}/`))) directories.delete(directory);
      },
    };
  }

  #network(): PodNetwork {
    return {
      status: () => ({ ready: true, reason: '', message: '' }),
      describe: () => ({}),
      setUp: async ({ sandboxId }) => {
        this.attached.add(sandboxId);
        await this.#pass('network.setUp');
        return { ips: ['10.1.0.2', 'fd00::2'], cniResult: { cniVersion: '1.0.0' } };
      },
      tearDown: async ({ sandboxId }) => {
        await this.#pass('network.tearDown');
        this.attached.delete(sandboxId);
      },
      cached: () => Promise.resolve([...this.attached]),
      collect: async (valid) => {
        const stale = [...this.attached].filter((id) => !valid.includes(id));
        for (const id of stale) this.attached.delete(id);
        return stale;
      },
      setPodCidr: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  #images(): ImageProvider {
    const image = {
      id: `sha256:${'1'.repeat(64)}`,
      repoTags: ['docker.io/library/busybox:latest'],
      repoDigests: [`docker.io/library/busybox@sha256:${'2'.repeat(64)}`],
      config: imageConfig({ stopSignal: 'SIGQUIT' }),
      layers: [join(this.directory, 'layer')],
    };
    return {
      resolve: (reference) => (reference === 'busybox' || reference === image.id ? image : undefined),
      retain: (_, holder) => void this.retained.add(holder),
      release: (_, holder) => void this.retained.delete(holder),
    };
  }
}
