import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Config } from '../config/config.ts';
import { createPodNetwork } from './create-pod-network.ts';
import type { PodNetwork } from './pod-network.ts';
import { Fixture, podRequest, sandboxId } from './testing/fixture.ts';

const never = new AbortController().signal;
let fixture: Fixture;
let networks: PodNetwork[];

beforeEach(() => {
  fixture = new Fixture();
  networks = [];
});

afterEach(async () => {
  await Promise.all(networks.map((network) => network.close()));
  fixture.remove();
});

async function open(overrides: Partial<Config['cni']> = {}, metrics?: Registry): Promise<PodNetwork> {
  const network = await createPodNetwork({
    config: fixture.config(overrides),
    log: fixture.log,
    ownPluginDir: fixture.ownDir,
    ...(metrics === undefined ? {} : { metrics }),
  });
  networks.push(network);
  return network;
}

function cacheFile(): string {
  return join(fixture.directory, 'root/network/attachments', `${sandboxId}.json`);
}

test('ADD runs the list in order, each plugin given the result of the one before', async () => {
  fixture.plugin('first');
  fixture.plugin('second', 'if [ $CNI_COMMAND = ADD ]; then echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"},{"address":"fd00::3/64"}]}\'; fi');
  fixture.conflist('net', [{ type: 'first', name: 'overwritten' }, 'second']);
  const network = await open();

  const result = await network.setUp(podRequest(), never);

  expect(result.ips).toEqual(['10.1.2.3', 'fd00::3']);
  expect(fixture.order()).toEqual(['first ADD', 'second ADD']);
  const [first, second] = fixture.calls();
  expect(first).toMatchObject({
    containerId: sandboxId,
    netns: '/proc/self/ns/net',
    ifName: 'eth0',
    path: `${fixture.ownDir}:${fixture.binDir}`,
    args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=${sandboxId};K8S_POD_UID=uid-1`,
    input: { type: 'first', name: 'net', cniVersion: '1.0.0' },
  });
  expect(first?.input).not.toHaveProperty('prevResult');
  expect(second?.input['prevResult']).toEqual({ cniVersion: '1.0.0', ips: [{ address: '10.1.2.3/24' }] });
});

test('DEL runs in reverse with the configuration and result of ADD, though the file has changed since', async () => {
  fixture.plugin('first');
  fixture.plugin('second');
  fixture.plugin('other');
  fixture.conflist('net', ['first', { type: 'second', mark: 1 }]);
  const before = await open();
  await before.setUp(podRequest(), never);
  fixture.conflist('net', ['other']);

  const after = await open();
  expect(await after.cached()).toEqual([sandboxId]);
  await after.tearDown(podRequest(), never);
  await after.tearDown(podRequest(), never);

  expect(fixture.order()).toEqual(['first ADD', 'second ADD', 'second DEL', 'first DEL']);
  const [, , second, first] = fixture.calls();
  expect(second?.input).toMatchObject({ mark: 1, prevResult: { ips: [{ address: '10.1.2.3/24' }] } });
  expect(first?.input['prevResult']).toEqual(second?.input['prevResult']);
  expect(second?.netns).toBe('/proc/self/ns/net');
  expect(await after.cached()).toEqual([]);
});

test('DEL tells plugins that the namespace is gone when the path is missing or no namespace', async () => {
  fixture.plugin('only');
  fixture.conflist('net', ['only']);
  const network = await open();
  const plain = join(fixture.directory, 'pin');
  writeFileSync(plain, '');
  for (const netnsPath of [join(fixture.directory, 'absent'), plain]) {
    await network.setUp(podRequest({ netnsPath }), never);
    await network.tearDown(podRequest({ netnsPath }), never);
  }
  const dels = fixture.calls().filter((call) => call.command === 'DEL');
  expect(dels.map((call) => call.netns)).toEqual(['', '']);
});

test('0.3.1 has no prevResult in DEL', async () => {
  fixture.plugin('only');
  fixture.conflist('net', ['only'], { cniVersion: '0.3.1' });
  const network = await open();
  await network.setUp(podRequest(), never);
  await network.tearDown(podRequest(), never);
  expect(fixture.calls()[1]?.input).not.toHaveProperty('prevResult');
});

test('the record is on disk before the first plugin runs', async () => {
  fixture.plugin('only', `if [ $CNI_COMMAND = ADD ]; then cp "$dir/root/network/attachments/${sandboxId}.json" "$dir/seen"; echo '{"ips":[{"address":"10.1.2.3/24"}]}'; fi`);
  fixture.conflist('net', [{ type: 'only', mark: 7 }]);
  const network = await open();
  await network.setUp(podRequest(), never);

  const seen = JSON.parse(readFileSync(join(fixture.directory, 'seen'), 'utf8')) as Record<string, unknown>;
  expect(seen).toMatchObject({ version: 1, request: { podName: 'web' }, list: { name: 'net', plugins: [{ type: 'only', mark: 7 }] } });
  const [intent = '', result = ''] = readFileSync(cacheFile(), 'utf8').split('\n');
  expect(JSON.parse(intent)).toEqual(seen);
  expect(JSON.parse(result)).toEqual({ cniVersion: '1.0.0', ips: [{ address: '10.1.2.3/24' }] });
});

test('a failed ADD is undone over the whole list, and the error names network, plugin, command and pod', async () => {
  fixture.plugin('first');
  fixture.plugin('second', 'if [ $CNI_COMMAND = ADD ]; then echo \'{"code":11,"msg":"no room","details":"pool is full"}\'; exit 1; fi');
  fixture.plugin('third');
  fixture.conflist('net', ['first', 'second', 'third']);
  const network = await open();

  await expect(network.setUp(podRequest(), never)).rejects.toMatchObject({
    code: 'CNI_FAILED',
    message: 'pod default/web: network "net": plugin second ADD: no room; pool is full (CNI error code 11)',
  });
  expect(fixture.order()).toEqual(['first ADD', 'second ADD', 'third DEL', 'second DEL', 'first DEL']);
  expect(await network.cached()).toEqual([]);
});

test('when the undo fails too, the error says both, the record stays, and tearDown retries', async () => {
  fixture.plugin('only', 'echo crash of $CNI_COMMAND >&2; [ -e "$dir/healed" ] || exit 3');
  fixture.conflist('net', ['only']);
  const network = await open();

  await expect(network.setUp(podRequest(), never)).rejects.toThrow(/plugin only ADD: exit status 3 without a CNI error: crash of ADD; undoing it failed too.*plugin only DEL: exit status 3/);
  expect(await network.cached()).toEqual([sandboxId]);
  await expect(network.tearDown(podRequest(), never)).rejects.toMatchObject({ code: 'CNI_FAILED' });
  expect(await network.cached()).toEqual([sandboxId]);

  writeFileSync(join(fixture.directory, 'healed'), '');
  await network.tearDown(podRequest(), never);
  expect(await network.cached()).toEqual([]);
});

test('DEL ends at the first plugin that fails', async () => {
  fixture.plugin('first');
  fixture.plugin('second', 'if [ $CNI_COMMAND = ADD ]; then echo \'{"ips":[{"address":"10.1.2.3/24"}]}\'; else exit 1; fi');
  fixture.conflist('net', ['first', 'second']);
  const network = await open();
  await network.setUp(podRequest(), never);
  await expect(network.tearDown(podRequest(), never)).rejects.toMatchObject({ code: 'CNI_FAILED' });
  expect(fixture.order()).toEqual(['first ADD', 'second ADD', 'second DEL']);
});

test.each([
  ['text', 'echo hello', /plugin only ADD: the result is not JSON: hello/],
  ['nothing', ':', /plugin only ADD: no result on standard output/],
  ['a list', 'echo "[]"', /plugin only ADD: the result is not a JSON object/],
  ['no address', 'echo "{}"', /network "net": the plugins gave no address for eth0/],
  ['a bad address', 'echo \'{"ips":[{"address":"10.1.2/24"}]}\'', /an address that is none: "10.1.2\/24"/],
  ['too much output', 'head -c 2000000 /dev/zero', /wrote more than 1048576 bytes to standard output/],
])('a plugin that prints %s fails ADD and is undone', async (_case, body, message) => {
  fixture.plugin('only', `if [ $CNI_COMMAND = ADD ]; then ${body}; fi`);
  fixture.conflist('net', ['only']);
  const network = await open();
  await expect(network.setUp(podRequest(), never)).rejects.toThrow(message);
  expect(fixture.order()).toEqual(['only ADD', 'only DEL']);
  expect(await network.cached()).toEqual([]);
});

test('a plugin that hangs is killed at the time limit, and undone', async () => {
  fixture.plugin('only', 'if [ $CNI_COMMAND = ADD ]; then sleep 60; fi');
  fixture.conflist('net', ['only']);
  const metrics = new Registry();
  const network = await open({ timeoutSeconds: 1 }, metrics);
  await expect(network.setUp(podRequest(), never)).rejects.toMatchObject({
    code: 'CNI_FAILED',
    message: 'pod default/web: network "net": plugin only ADD: the list did not finish within 1 s; the plugin was killed',
  });
  expect(fixture.order().at(-1)).toBe('only DEL');
  const text = await metrics.metrics();
  expect(text).toContain('berth_cni_plugin_duration_seconds_count{plugin="only",command="ADD",outcome="timeout"} 1');
  expect(text).toContain('berth_cni_plugin_duration_seconds_count{plugin="only",command="DEL",outcome="ok"} 1');
});

test('a caller that gives up gets CANCELLED after the undo, and the plugin dies with its children', async () => {
  fixture.plugin('only', 'if [ $CNI_COMMAND = ADD ]; then sleep 60 & echo $! >"$dir/child"; mv "$dir/child" "$dir/started"; wait; fi');
  fixture.conflist('net', ['only']);
  const network = await open();
  const caller = new AbortController();
  const abortOnceStarted = until(() => readdirSync(fixture.directory).includes('started')).then(() => caller.abort());
  await expect(network.setUp(podRequest(), caller.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  await abortOnceStarted;
  await expectGone(Number(readFileSync(join(fixture.directory, 'started'), 'utf8')));
  expect(fixture.order()).toEqual(['only ADD', 'only DEL']);
  expect(await network.cached()).toEqual([]);
});

test('a plugin left running by its parent does not hold the call', async () => {
  fixture.plugin('only', 'if [ $CNI_COMMAND = ADD ]; then sleep 60 & echo $! >"$dir/child"; echo \'{"ips":[{"address":"10.1.2.3/24"}]}\'; fi');
  fixture.conflist('net', ['only']);
  const network = await open();
  const result = await network.setUp(podRequest(), never);
  process.kill(Number(readFileSync(join(fixture.directory, 'child'), 'utf8')));
  expect(result.ips).toEqual(['10.1.2.3']);
});

test.each([
  ['in mid-ADD', ''],
  ['with its result cut off', '{"cniVersion":"1.0.0","ips":[{"addr'],
])('a record left by a crash %s is deleted before the next ADD', async (_case, secondLine) => {
  fixture.plugin('only');
  fixture.conflist('net', ['only']);
  const crashed = await open();
  await crashed.setUp(podRequest(), never);
  const [intent = ''] = readFileSync(cacheFile(), 'utf8').split('\n');
  writeFileSync(cacheFile(), `${intent}\n${secondLine}`);

  const network = await open();
  await network.setUp(podRequest(), never);
  expect(fixture.order()).toEqual(['only ADD', 'only DEL', 'only ADD']);
  expect(fixture.calls()[1]?.input).not.toHaveProperty('prevResult');
});

test.each(['{"version":1,', '', '{"version":99}', '[]'])('a record that reads %j is deleted with the present configuration', async (content) => {
  fixture.plugin('only');
  fixture.conflist('net', ['only']);
  const network = await open();
  await network.setUp(podRequest(), never);
  writeFileSync(cacheFile(), content);
  await network.tearDown(podRequest(), never);
  expect(fixture.order()).toEqual(['only ADD', 'only DEL']);
  expect(await network.cached()).toEqual([]);
});

test('a half-written record from a crash before the first ADD is cleared away at start', async () => {
  fixture.plugin('only');
  fixture.conflist('net', ['only']);
  await open();
  writeFileSync(`${cacheFile()}.tmp`, '{"vers');
  const network = await open();
  expect(await network.cached()).toEqual([]);
  expect(readdirSync(join(fixture.directory, 'root/network/attachments'))).toEqual([]);
});

test('without a record tearDown does nothing', async () => {
  fixture.plugin('only');
  fixture.conflist('net', ['only']);
  await (await open()).tearDown(podRequest(), never);
  expect(fixture.calls()).toEqual([]);
});

test('a tearDown waits for the set-up of the same sandbox, and other sandboxes do not', async () => {
  fixture.plugin('only', `case $CNI_COMMAND$CNI_CONTAINERID in
    ADDa*) while [ ! -e "$dir/go" ]; do sleep 0.01; done; echo '{"ips":[{"address":"10.1.2.3/24"}]}';;
    ADD*) echo '{"ips":[{"address":"10.1.2.4/24"}]}';;
  esac`);
  fixture.conflist('net', ['only']);
  const network = await open();
  const slow = network.setUp(podRequest(), never);
  await until(() => fixture.calls().length === 1);
  const stopped = network.tearDown(podRequest(), never);
  await network.setUp(podRequest({ sandboxId: 'b'.repeat(64) }), never);
  writeFileSync(join(fixture.directory, 'go'), '');
  await Promise.all([slow, stopped]);
  expect(fixture.calls().map((call) => `${call.command} ${call.containerId.charAt(0)}`)).toEqual(['ADD a', 'ADD b', 'DEL a']);
  expect(await network.cached()).toEqual(['b'.repeat(64)]);
});

test('a caller that gives up in the queue leaves without a trace', async () => {
  fixture.plugin('only', 'if [ $CNI_COMMAND = ADD ]; then while [ ! -e "$dir/go" ]; do sleep 0.01; done; echo \'{"ips":[{"address":"10.1.2.3/24"}]}\'; fi');
  fixture.conflist('net', ['only']);
  const network = await open();
  const requests = Array.from({ length: 2 * availableParallelism() + 8 }, (_, index) => podRequest({ sandboxId: `s${index}` }));
  const running = requests.map((request) => network.setUp(request, never));
  await until(() => fixture.calls().length >= 4);
  await expect(network.setUp(podRequest(), AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
  const caller = new AbortController();
  const leaving = Promise.allSettled([network.setUp(podRequest(), caller.signal)]);
  await new Promise((resolve) => setImmediate(resolve));
  caller.abort();
  expect(await leaving).toMatchObject([{ status: 'rejected', reason: { name: 'AbortError' } }]);
  expect(fixture.calls().length).toBeLessThan(requests.length);
  writeFileSync(join(fixture.directory, 'go'), '');
  await Promise.all(running);
  expect(fixture.calls().some((call) => call.containerId === sandboxId)).toBe(false);
  expect(await network.cached()).not.toContain(sandboxId);
}, 30_000);

test('names that CNI_ARGS cannot carry are refused before anything runs', async () => {
  fixture.plugin('only');
  fixture.conflist('net', ['only']);
  const network = await open();
  await expect(network.setUp(podRequest({ podName: 'a;K8S_POD_NAMESPACE=kube-system' }), never)).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  expect(fixture.calls()).toEqual([]);
  expect(await network.cached()).toEqual([]);
});

test('collect releases what belongs to nobody, and GC names what remains', async () => {
  fixture.plugin('only');
  fixture.conflist('net', ['only'], { cniVersion: '1.1.0' });
  const earlier = await open();
  await earlier.setUp(podRequest(), never);
  const other = 'b'.repeat(64);
  await earlier.setUp(podRequest({ sandboxId: other }), never);

  const network = await open();
  await until(() => network.status().ready);
  expect(await network.collect([other], never)).toEqual([sandboxId]);
  expect(await network.cached()).toEqual([other]);
  const calls = fixture.calls().filter((call) => call.command === 'DEL' || call.command === 'GC');
  expect(calls.map((call) => call.command)).toEqual(['DEL', 'GC']);
  expect(calls[1]?.input['cni.dev/valid-attachments']).toEqual([{ containerID: other, ifname: 'eth0' }]);
  expect(await earlier.collect([], never)).toEqual([]);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A killed orphan is a zombie until init reaps it; both count as gone. */
async function expectGone(pid: number): Promise<void> {
  await until(() => {
    try {
      return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return true;
    }
  });
}
