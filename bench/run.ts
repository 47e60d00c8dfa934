/**
 * Times every CRI call of a pod's life on a Berth of its own and, given --peer SOCKET, on another
 * CRI runtime in the same run, turn by turn. docs/performance.md says how to set up the peer.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, release, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connectCri } from '../conformance/harness/cri-client.ts';
import { prepareDaemon } from '../conformance/harness/daemon.ts';
import { busybox } from '../conformance/harness/images.ts';
import { push } from '../conformance/harness/push.ts';
import { startRegistry } from '../conformance/harness/registry.ts';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { cycle, noSamples } from './cycle.ts';
import type { Samples, Subject } from './cycle.ts';
import { listenerOf, measureMemory } from './memory.ts';
import { summary, table } from './report.ts';
import type { Result } from './report.ts';

const WARM_UP = 3;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    rounds: { type: 'string', default: '30' },
    pods: { type: 'string', default: '10' },
    image: { type: 'string', default: 'docker.io/library/busybox:latest' },
    'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' },
    out: { type: 'string', default: fileURLToPath(new URL('../build/bench.json', import.meta.url)) },
  },
});

interface Measured {
  readonly subject: Subject;
  readonly samples: Samples;
  readonly version: string;
  readonly daemonPid: number;
}

async function prepare(socket: string, daemonPid: number, logs: string): Promise<Measured> {
  const cri = connectCri(socket);
  const { runtime_name: name, runtime_version: version } = await cri.call('Version', {});
  const image = options.image;
  if ((await cri.call('ImageStatus', { image: { image } })).image === null) await cri.call('PullImage', { image: { image } });
  return { subject: { name, cri, image, logs }, samples: noSamples(), version, daemonPid };
}

/** Turn by turn, and who begins changes, so that a slow moment of the machine meets both. */
async function takeTurns(measured: readonly Measured[], rounds: number): Promise<void> {
  for (let round = -WARM_UP; round < rounds; round += 1) {
    const turns = round % 2 === 0 ? measured : measured.toReversed();
    for (const { subject, samples } of turns) await cycle(subject, round < 0 ? noSamples() : samples);
  }
}

async function measure(measured: readonly Measured[]): Promise<Result[]> {
  await takeTurns(measured, Number(options.rounds));
  const results: Result[] = [];
  for (const { subject, samples, version, daemonPid } of measured) {
    results.push({ name: subject.name, version, samples, memory: await measureMemory(subject, daemonPid, Number(options.pods)) });
  }
  return results;
}

async function report(results: readonly Result[]): Promise<void> {
  const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, kernel: release() };
  say(`\n${results.map(({ name, version }) => `${name} ${version}`).join(' beside ')}; ${options.rounds} rounds; Linux ${machine.kernel}, ${machine.cores} cores\n`);
  say(table(results));
  await mkdir(path.dirname(options.out), { recursive: true });
  await writeFile(options.out, `${JSON.stringify({ at: new Date().toISOString(), machine, options, results: results.map(summary) }, null, 2)}\n`);
  say(`\nwritten to ${options.out}`);
}

async function bench(): Promise<number> {
  const registry = await startRegistry();
  const logs = await mkdtemp(path.join(tmpdir(), 'berth-bench-'));
  // The same name that the peer knows leads to our own registry.
  const daemon = await prepareDaemon({ registries: { _default: registry.url }, logLevel: 'info', cniBinDir: options['cni-bin-dir'] });
  const measured: Measured[] = [];
  try {
    const [, repository = 'library/busybox', tag = 'latest'] = /^[^/]+\/(.+):([^:/]+)$/.exec(options.image) ?? [];
    await push(registry, repository, tag, busybox());
    await daemon.start();
    measured.push(await prepare(daemon.socket, daemon.pid, logs));
    if (options.peer !== undefined) {
      const socketPath = options.peer.replace(/^unix:\/\//, '');
      measured.push(await prepare(`unix://${socketPath}`, await listenerOf(socketPath), logs));
    }
    await report(await measure(measured));
    return 0;
  } catch (error) {
    say(`the bench failed: ${error instanceof Error ? error.message : String(error)}\n${daemon.log.slice(-10).join('\n')}`);
    return 1;
  } finally {
    for (const { subject } of measured) subject.cri.close();
    await daemon.dispose();
    await registry.stop();
    await rm(logs, { recursive: true, force: true });
  }
}

// Without a PID namespace of its own: the peer's processes must be seen to be measured.
await inOwnWorld({ pid: false }, bench);
