/**
 * Berth at work, for a person to watch: a registry, a pull, a pod of two containers with a web
 * server, logs, an exec, and the proof that nothing stays behind. Runs as root, in namespaces of
 * its own. Exits with 1 when anything is not as it should be.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeCgroupBase } from './harness/cgroup-base.ts';
import { connectCri } from './harness/cri-client.ts';
import type { CriClient, Timing } from './harness/cri-client.ts';
import { prepareDaemon } from './harness/daemon.ts';
import type { Daemon } from './harness/daemon.ts';
import { get } from './harness/http.ts';
import { busybox, web, WEB_PAGE } from './harness/images.ts';
import { kubelet } from './harness/kubelet.ts';
import type { Kubelet, Pod } from './harness/kubelet.ts';
import { expectNoLeaks, snapshot } from './harness/leaks.ts';
import type { LeakScope } from './harness/leaks.ts';
import { push } from './harness/push.ts';
import { startRegistry } from './harness/registry.ts';
import type { Registry } from './harness/registry.ts';
import { eventually } from './harness/wait.ts';
import { inOwnWorld } from './harness/world.ts';

const colour = process.stdout.isTTY === true;
const bold = (text: string): string => (colour ? `\x1b[1m${text}\x1b[0m` : text);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const title = (text: string): void => say(`\n${bold(`== ${text}`)}`);
const indented = (text: string): string => text.trimEnd().split('\n').map((line) => `   | ${line}`).join('\n');

function check(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

async function pull(cri: CriClient, registry: Registry): Promise<void> {
  title(`Pull from ${registry.host}, a docker-registry`);
  for (const repository of ['web', 'busybox']) {
    const image = `${registry.host}/${repository}:latest`;
    await cri.call('PullImage', { image: { image } });
    const status = (await cri.call('ImageStatus', { image: { image } })).image;
    say(`   ${image}  ${status?.id.slice(0, 19)}…  ${Math.round(Number(status?.size) / 1024)} KiB`);
  }
}

async function runPod(node: Kubelet, registry: Registry): Promise<{ pod: Pod; side: string }> {
  title('Run a pod with two containers');
  const pod = await node.runPod({ metadata: { name: 'demo', namespace: 'default', uid: 'demo-uid', attempt: 0 } });
  const { network } = await node.podStatus(pod.id);
  say(`   pod   ${pod.id.slice(0, 12)}  ready, address ${network?.ip}`);
  const webId = await node.run(pod, { name: 'web', image: `${registry.host}/web:latest` });
  say(`   web   ${webId.slice(0, 12)}  running: busybox httpd on port 8080`);
  const command = ['sh', '-c', 'echo "I share the pod\'s network:"; ip -4 -o addr show eth0; echo "and may complain" >&2; exec sleep 1000'];
  const side = await node.run(pod, { name: 'side', image: `${registry.host}/busybox:latest`, command });
  say(`   side  ${side.slice(0, 12)}  running: a shell script`);

  title(`Ask the web server: GET http://${network?.ip}:8080/`);
  const page = await eventually('the web server answers', () => get(`http://${network?.ip}:8080/`));
  say(indented(page));
  check('the page', page, WEB_PAGE);
  return { pod, side };
}

async function showLogs(node: Kubelet, pod: Pod): Promise<void> {
  for (const [name, count] of [['web', 1], ['side', 3]] as const) {
    title(`Log of ${name}`);
    const lines = await eventually(`${name} has logged`, async () => {
      const logged = await node.logs(pod, name);
      return logged.length >= count ? logged : undefined;
    });
    say(indented(lines.map(({ time, stream, text }) => `${time} ${stream} ${text}`).join('\n')));
  }
}

async function exec(node: Kubelet, side: string): Promise<void> {
  title('Exec in side: sh -c "uname -s; id -un; exit 3"');
  const result = await node.exec(side, 'sh', '-c', 'uname -s; id -un; exit 3');
  say(indented(result.stdout));
  say(`   exit code ${result.exitCode}`);
  check('the output', result.stdout, 'Linux\nroot\n');
  check('the exit code', result.exitCode, 3);
}

async function stopAndRemove(cri: CriClient, node: Kubelet, pod: Pod, side: string, registry: Registry): Promise<void> {
  title('Stop and remove');
  await cri.call('StopContainer', { container_id: side, timeout: 0 });
  check('the stopped container', (await node.status(side)).state, 'CONTAINER_EXITED');
  await cri.call('RemoveContainer', { container_id: side });
  await node.removePod(pod);
  for (const repository of ['web', 'busybox']) await cri.call('RemoveImage', { image: { image: `${registry.host}/${repository}:latest` } });
  check('pods left', (await cri.call('ListPodSandbox', {})).items.length, 0);
  check('containers left', (await cri.call('ListContainers', {})).containers.length, 0);
  check('images left', (await cri.call('ListImages', {})).images.length, 0);
  say('   containers, pod and images are gone from every list');
}

function showTimes(timings: readonly Timing[]): void {
  title('Time of each call');
  for (const { rpc, milliseconds } of timings) say(`   ${rpc.padEnd(18)} ${milliseconds.toFixed(1).padStart(8)} ms`);
}

async function proveNothingLeft(scope: LeakScope, before: Awaited<ReturnType<typeof snapshot>>): Promise<void> {
  title('What is left on the machine');
  const after = await expectNoLeaks(scope, before, { images: true });
  for (const [kind, entries] of after) {
    say(`   ${kind.padEnd(26)} ${String(before.get(kind)?.length ?? 0).padStart(3)} before, ${String(entries.length).padStart(3)} after`);
  }
  say(bold('   Nothing is left.'));
}

async function scene(registry: Registry, daemon: Daemon): Promise<void> {
  const cgroups = await makeCgroupBase();
  const logs = await mkdtemp(path.join(tmpdir(), 'berth-demo-'));
  const cri = connectCri(daemon.socket);
  const node = kubelet({ cri: () => cri, cgroups, logs });
  const scope: LeakScope = {
    root: daemon.root,
    state: daemon.state,
    addressDir: daemon.network.addressDir,
    permanentDevices: [daemon.network.bridge],
    cgroupBase: cgroups.directory,
    pid: () => daemon.pid,
  };
  try {
    const version = await cri.call('Version', {});
    title(`${version.runtime_name} ${version.runtime_version}, CRI ${version.runtime_api_version}, at ${daemon.socket}`);
    const before = await snapshot(scope, { images: true });
    await pull(cri, registry);
    const { pod, side } = await runPod(node, registry);
    await showLogs(node, pod);
    await exec(node, side);
    await stopAndRemove(cri, node, pod, side, registry);
    showTimes(cri.timings.filter(({ rpc }) => !/Status|List/.test(rpc)));
    await proveNothingLeft(scope, before);
  } catch (error) {
    await node.removeAll().catch(() => undefined);
    throw error;
  } finally {
    cri.close();
    await cgroups.remove();
    await rm(logs, { recursive: true, force: true });
  }
}

async function demo(): Promise<number> {
  const registry = await startRegistry();
  let daemon: Daemon | undefined;
  try {
    await push(registry, 'web', 'latest', web());
    await push(registry, 'busybox', 'latest', busybox());
    daemon = await prepareDaemon({ registries: { [registry.host]: registry.url } });
    await daemon.start();
    await scene(registry, daemon);
    return 0;
  } catch (error) {
    say(`\n${bold('The demo failed:')} ${error instanceof Error ? error.message : String(error)}`);
    say(indented((daemon?.log ?? []).slice(-20).join('\n')));
    return 1;
  } finally {
    await daemon?.dispose();
    await registry.stop();
  }
}

await inOwnWorld({ pid: true }, demo);
