/**
 * What a seccomp filter costs: containers of one pod with and without, turn by turn, so that a slow moment of the
 * machine meets both. `node bench/seccomp.ts [--rounds 100]`, as root. Besides each call's p50 it gives the median of
 * the differences within a round, which a busy machine disturbs least.
 */

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { connectCri } from '../conformance/harness/cri-client.ts';
import type { CriClient, Rpc } from '../conformance/harness/cri-client.ts';
import { prepareDaemon } from '../conformance/harness/daemon.ts';
import { busybox } from '../conformance/harness/images.ts';
import { push } from '../conformance/harness/push.ts';
import { startRegistry } from '../conformance/harness/registry.ts';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { percentile } from './report.ts';

const kinds = ['Unconfined', 'RuntimeDefault'] as const;
type Kind = (typeof kinds)[number];
const calls = ['CreateContainer', 'StartContainer', 'ExecSync'] as const satisfies readonly Rpc[];
type Times = Record<(typeof calls)[number], number>;

const WARM_UP = 3;
const namespace_options = { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } as const;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '100' }, 'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' } } });

/** One container's life; the filter of its kind has been compiled by the warm-up. */
async function once(cri: CriClient, pod_sandbox_id: string, image: string, kind: Kind): Promise<Times> {
  const from = cri.timings.length;
  const config = {
    metadata: { name: randomUUID(), attempt: 0 },
    image: { image },
    command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done'],
    linux: { security_context: { namespace_options, seccomp: { profile_type: kind } } },
  };
  const { container_id } = await cri.call('CreateContainer', { pod_sandbox_id, config });
  await cri.call('StartContainer', { container_id });
  await cri.call('ExecSync', { container_id, cmd: ['true'], timeout: 30 });
  const timings = cri.timings.slice(from);
  await cri.call('StopContainer', { container_id, timeout: 30 });
  await cri.call('RemoveContainer', { container_id });
  const of = (rpc: Rpc): number => timings.find((timing) => timing.rpc === rpc)?.milliseconds ?? Number.NaN;
  return { CreateContainer: of('CreateContainer'), StartContainer: of('StartContainer'), ExecSync: of('ExecSync') };
}

async function measure(cri: CriClient, image: string): Promise<Record<Kind, Times[]>> {
  const metadata = { name: 'seccomp', namespace: 'bench', uid: randomUUID(), attempt: 0 };
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config: { metadata, linux: { security_context: { namespace_options } } } });
  const samples: Record<Kind, Times[]> = { Unconfined: [], RuntimeDefault: [] };
  for (let round = -WARM_UP; round < Number(options.rounds); round += 1) {
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const times = await once(cri, pod_sandbox_id, image, kind);
      if (round >= 0) samples[kind].push(times);
    }
  }
  await cri.call('StopPodSandbox', { pod_sandbox_id });
  await cri.call('RemovePodSandbox', { pod_sandbox_id });
  return samples;
}

function report(samples: Record<Kind, Times[]>): void {
  say(`\n${'milliseconds, p50'.padEnd(18)}${kinds.map((kind) => kind.padStart(16)).join('')}${'difference'.padStart(14)}${'paired'.padStart(10)}`);
  for (const call of calls) {
    const [plain, filtered] = kinds.map((kind) => samples[kind].map((times) => times[call])) as [number[], number[]];
    const paired = percentile(filtered.map((time, round) => time - (plain[round] ?? Number.NaN)), 0.5);
    const [a, b] = [percentile(plain, 0.5), percentile(filtered, 0.5)];
    say(`${call.padEnd(18)}${a.toFixed(2).padStart(16)}${b.toFixed(2).padStart(16)}${(b - a).toFixed(2).padStart(14)}${paired.toFixed(2).padStart(10)}`);
  }
}

async function bench(): Promise<number> {
  const registry = await startRegistry();
  const daemon = await prepareDaemon({ registries: { [registry.host]: registry.url }, logLevel: 'info', cniBinDir: options['cni-bin-dir'] });
  const cri = connectCri(daemon.socket);
  try {
    await push(registry, 'busybox', 'latest', busybox());
    await daemon.start();
    const image = `${registry.host}/busybox:latest`;
    await cri.call('PullImage', { image: { image } });
    report(await measure(cri, image));
    return 0;
  } catch (error) {
    say(`the bench failed: ${error instanceof Error ? error.message : String(error)}\n${daemon.log.slice(-10).join('\n')}`);
    return 1;
  } finally {
    cri.close();
    await daemon.dispose();
    await registry.stop();
  }
}

await inOwnWorld({ pid: false }, bench);
