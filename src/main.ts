/** berthd: reads its settings, builds the layers from below, serves CRI, and takes them down in reverse. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { describeMissing, readCgroupHierarchy } from './cgroup/hierarchy.ts';
import type { CgroupHierarchy } from './cgroup/hierarchy.ts';
import { openCgroups } from './cgroup/open-cgroups.ts';
import { helpText, parseCommandLine } from './config/command-line.ts';
import type { RunCommand } from './config/command-line.ts';
import type { Config } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { nativePrograms } from './config/programs.ts';
import { version } from './config/version.ts';
import { startCriServer } from './cri-server/server.ts';
import { BerthError } from './errors/catalogue.ts';
import { createImageService } from './image-service/image-service.ts';
import { createPodNetwork } from './pod-network/create-pod-network.ts';
import { openConfinement } from './runtime-service/security/confinement.ts';
import { createRuntimeService } from './runtime-service/service.ts';
import { startStreamingServer } from './streaming/server.ts';
import type { StreamingOptions } from './streaming/server.ts';
import { startLauncher } from './shim/launcher.ts';
import { lockDirectory } from './state/directory-lock.ts';
import { systemClock } from './telemetry/clock.ts';
import type { Clock } from './telemetry/clock.ts';
import { createLogger, flushLogger } from './telemetry/logger.ts';
import { startMetricsServer } from './telemetry/metrics-server.ts';
import { createImageMetrics } from './telemetry/image-metrics.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { createNotifier } from './telemetry/notify.ts';
import { createRuntimeMetrics } from './telemetry/runtime-metrics.ts';
import { createCallTracer } from './telemetry/tracing.ts';
import type { Notifier } from './telemetry/notify.ts';

/** How long calls may go on after SIGTERM, in ms. */
const shutdownGrace = 5_000;

async function main(): Promise<void> {
  const command = parseCommandLine(process.argv.slice(2));
  if (command.action === 'help') process.stdout.write(helpText());
  else if (command.action === 'version') process.stdout.write(`berthd ${version}\n`);
  else await run(command);
}

async function run(command: RunCommand): Promise<void> {
  process.title = 'berthd';
  const { config, files } = await loadConfig(command);
  const hierarchy = await suitableHierarchy(config);
  const log = createLogger({ level: config.logLevel });
  log.info({ version, files, root: config.root, state: config.state }, 'berthd starts');
  if (hierarchy.missing.length > 0) log.warn(describeMissing(hierarchy));
  const daemon = await startDaemon(config, hierarchy, log);
  process.stdout.write(`berthd ${version} is ready on ${daemon.address}\n`);
  await daemon.notifier.ready(`serving CRI on ${daemon.address}`);

  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => resolve(name));
  });
  log.info({ signal }, 'berthd stops; containers go on');
  await daemon.notifier.stopping();
  await daemon.close();
  await flushLogger(log);
}

/** Refuses a host that cannot enforce limits, unless told to run there all the same. */
async function suitableHierarchy(config: Config): Promise<CgroupHierarchy> {
  const hierarchy = await readCgroupHierarchy();
  if (hierarchy.missing.length > 0 && !config.runtime.allowMissingControllers) {
    throw new BerthError(
      'HOST_UNSUITABLE',
      `limits would be ${describeMissing(hierarchy)}. Boot with the unified hierarchy alone ` +
        '(kernel parameters systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all), or accept it with --allow-missing-controllers',
    );
  }
  return hierarchy;
}

interface Daemon {
  readonly address: string;
  readonly notifier: Notifier;
  close(): Promise<void>;
}

/** Builds the layers from below. What was built is taken down in reverse: by `close`, or at once when a later layer fails. */
async function startDaemon(config: Config, hierarchy: CgroupHierarchy, log: Logger): Promise<Daemon> {
  await using layers = new AsyncDisposableStack();
  const programs = nativePrograms(import.meta.url);
  const clock = systemClock();
  const metrics = createMetrics();
  await mkdir(config.root, { recursive: true, mode: 0o700 });
  await mkdir(config.state, { recursive: true, mode: 0o711 });
  for (const directory of [config.root, config.state]) {
    layers.adopt(await lockDirectory(directory), (lock) => lock.release());
  }
  const tracer = layers.adopt(
    await createCallTracer({ environment: process.env, version, registry: metrics, clock, log }),
    (layer) => layer.close(),
  );
  const launcher = layers.adopt(startLauncher({ program: programs.shim, log }), (layer) => layer.close());
  const network = layers.adopt(
    await createPodNetwork({ config, log, metrics, ownPluginDir: join(programs.net, '..'), clock }),
    (layer) => layer.close(),
  );
  // Told by the runtime service, which is built on the images.
  const writable: { usage: () => Promise<{ bytes: number; inodes: number } | undefined> } = { usage: () => Promise.resolve(undefined) };
  const images = layers.adopt(
    await createImageService({
      root: config.root,
      unpackProgram: programs.unpack,
      unpackSocket: join(config.state, 'unpack.sock'),
      registry: config.registry,
      log,
      clock,
      metrics: createImageMetrics(metrics),
      containersDir: join(config.root, 'containers'),
      containerUsage: () => writable.usage(),
      pinnedImages: config.images.pinnedImages,
      unpackLimits: {
        maxBytes: config.images.maxLayerBytes,
        maxEntries: config.images.maxLayerEntries,
        maxRatio: config.images.maxLayerRatio,
        maxPath: config.images.maxPathLength,
      },
    }),
    (layer) => layer.close(),
  );
  const { cgroups } = layers.adopt(
    await openCgroups({ setting: config.runtime.cgroupDriver, hierarchy, log, hold: (id, signal) => launcher.hold(id, signal) }),
    (layer) => layer.close(),
  );
  const streaming = layers.adopt(await startStreamingServer(streamingOptions(config, log, clock, metrics)), (layer) => layer.close());
  const runtime = layers.adopt(
    await createRuntimeService({
      config, log, clock, launcher, cgroups, network, images: images.provider, metrics: createRuntimeMetrics(metrics),
      streams: streaming.urls,
      confinement: await openConfinement({ compiler: programs.seccomp, policy: programs.appArmorPolicy, state: config.state, log }),
    }),
    (layer) => layer.close(),
  );
  writable.usage = () => runtime.writableLayers();
  await images.removeUnused();
  layers.adopt(
    await startMetricsServer({ address: config.metricsAddress, registry: metrics, problem: () => undefined, log }),
    (layer) => layer?.close(),
  );
  const server = layers.adopt(
    await startCriServer({ listen: config.listen, handlers: { ...runtime.handlers, ...images.handlers }, log, metrics, tracer }),
    (layer) => layer.close(shutdownGrace),
  );
  const built = layers.move();
  return {
    address: server.address,
    notifier: createNotifier({ environment: process.env, helper: programs.notify, log }),
    close: () => built.disposeAsync(),
  };
}

function streamingOptions(config: Config, log: Logger, clock: Clock, metrics: Registry): StreamingOptions {
  const { tls, tlsCertificate, tlsKey, idleTimeoutSeconds, maxSessions, maxPending } = config.stream;
  return {
    address: config.streamAddress,
    tls: tls ? { certificate: tlsCertificate, key: tlsKey } : undefined,
    idleMs: idleTimeoutSeconds * 1000,
    maxSessions, maxPending, log, clock, metrics,
  };
}

try {
  await main();
} catch (error) {
  process.stderr.write(`berthd: ${error instanceof BerthError ? error.message : String(error instanceof Error ? error.stack : error)}\n`);
  process.exitCode = 1;
}
