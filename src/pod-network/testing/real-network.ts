/**
 * Runs in a network and mount namespace of its own (see real-network.test.ts): attaches pods to the
 * built-in network over the standard plugins in /usr/lib/cni and reports what it saw as one JSON
 * object on standard output.
 *
 * Arguments: a directory for its files.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pino } from 'pino';

import { createPodNetwork } from '../create-pod-network.ts';
import type { PodNetwork, PodNetworkRequest } from '../pod-network.ts';
import { podRequest, testConfig } from './fixture.ts';

export interface RealNetworkReport {
  /** What an HTTP client got: from the pod's addresses, through the host port, and from pod to pod. */
  readonly replies: Readonly<Record<string, string>>;
  readonly ips: readonly string[];
  readonly before: HostState;
  readonly during: HostState;
  readonly after: HostState;
  /** After DEL of a pod whose namespace went first. */
  readonly afterGone: HostState;
  readonly cached: readonly string[];
  readonly milliseconds: Readonly<Record<string, number>>;
}

export interface HostState {
  readonly links: readonly string[];
  readonly rules: readonly string[];
  readonly addresses: readonly string[];
}

const never = new AbortController().signal;
const hostPort = 18080;
const [, , directory = ''] = process.argv;

const network = await createPodNetwork({
  config: testConfig(directory, {
    binDirs: ['/usr/lib/cni'],
    defaultNetwork: true,
    defaultSubnets: ['10.77.0.0/24', 'fd77::/64'],
    timeoutSeconds: 60,
  }),
  log: pino({ level: 'warn' }, pino.destination(2)),
  ownPluginDir: join(directory, 'own'),
});
try {
  process.stdout.write(`${JSON.stringify(await run(network))}\n`);
} finally {
  await network.close();
}

async function run(pods: PodNetwork): Promise<RealNetworkReport> {
  prepareNamespace();
  // The first pod makes what all share (the bridge, the plugins' base chains), which is there to stay.
  await cycle(pods, pod('0'));
  const before = hostState();
  const web = pod('1');
  const client = pod('2');
  pin(web);
  pin(client);
  const addStarted = performance.now();
  const { ips } = await pods.setUp(web, never);
  const add = performance.now() - addStarted;
  await pods.setUp(client, never);
  const during = hostState();
  const server = serve(web);
  const replies = await readAll(ips, client);
  server.kill('SIGKILL');
  const delStarted = performance.now();
  await pods.tearDown(web, never);
  const del = performance.now() - delStarted;
  await pods.tearDown(client, never);
  const after = hostState();
  await cycle(pods, pod('3'), unpin);
  return { replies, ips, before, during, after, afterGone: hostState(), cached: await pods.cached(), milliseconds: { add, del } };
}

/** ADD and DEL; `between` may take the namespace away. */
async function cycle(pods: PodNetwork, request: PodNetworkRequest, between: (request: PodNetworkRequest) => void = () => undefined): Promise<void> {
  pin(request);
  await pods.setUp(request, never);
  between(request);
  await pods.tearDown(request, never);
}

async function readAll(ips: readonly string[], client: PodNetworkRequest): Promise<Record<string, string>> {
  const [ipv4 = '', ipv6 = ''] = ips;
  const replies: Record<string, string> = {
    ipv4: await read(`http://${ipv4}:8080/`),
    ipv6: await read(`http://[${ipv6}]:8080/`),
    loopbackHostPort: await read(`http://127.0.0.1:${hostPort}/`),
    bridgeHostPort: await read(`http://10.77.0.1:${hostPort}/`),
  };
  replies['podToPod'] = command('nsenter', `--net=${client.netnsPath}`, 'busybox', 'wget', '-q', '-O', '-', `http://${ipv4}:8080/`).trim();
  return replies;
}

/**
 * Tries again while the server is not up yet, and while duplicate address detection still holds back
 * the bridge's new IPv6 address (RFC 4862, 5.4); the test's own time limit is the end of it.
 */
async function read(url: string): Promise<string> {
  for (;;) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
      return (await response.text()).trim();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function serve(request: PodNetworkRequest): ChildProcess {
  const pages = join(directory, 'www');
  mkdirSync(pages, { recursive: true });
  writeFileSync(join(pages, 'index.html'), 'hello from the pod\n');
  return spawn('nsenter', [`--net=${request.netnsPath}`, 'busybox', 'httpd', '-f', '-p', '8080', '-h', pages], { stdio: 'ignore' });
}

/** Own /run: the pins, and the lock file of iptables, which would be shared with the host. */
function prepareNamespace(): void {
  command('mount', '-t', 'tmpfs', 'tmpfs', '/run');
  mkdirSync('/run/netns');
  command('ip', 'link', 'set', 'lo', 'up');
}

function pin(request: PodNetworkRequest): void {
  writeFileSync(request.netnsPath, '');
  command('unshare', `--net=${request.netnsPath}`, 'ip', 'link', 'set', 'lo', 'up');
}

function unpin(request: PodNetworkRequest): void {
  command('umount', request.netnsPath);
}

function pod(digit: string): PodNetworkRequest {
  const portMappings = digit === '2' ? [] : [{ protocol: 'tcp' as const, containerPort: 8080, hostPort, hostIp: '' }];
  const sandboxId = digit.repeat(64);
  return podRequest({ sandboxId, netnsPath: `/run/netns/berth-${sandboxId}`, podName: `pod-${digit}`, portMappings });
}

function hostState(): HostState {
  const links = command('ip', '-o', 'link').split('\n').map((line) => line.split(':')[1]?.trim() ?? '');
  const rules = [...command('iptables-save').split('\n'), ...command('ip6tables-save').split('\n')]
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
  const store = join(directory, 'root/network/host-local/berth');
  const addresses = readdirSync(store).filter((name) => !name.startsWith('last_reserved_ip') && name !== 'lock');
  return { links: links.filter((name) => name !== ''), rules, addresses: addresses.toSorted() };
}

function command(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
