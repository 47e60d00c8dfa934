import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { berth } from '../harness/berth-command.ts';
import type { BerthResult } from '../harness/berth-command.ts';
import { prepareDaemon } from '../harness/daemon.ts';
import { startFaultyRegistry } from '../harness/faulty-registry.ts';
import type { Fault, FaultyRegistry } from '../harness/faulty-registry.ts';
import { busyboxLayer, layered } from '../harness/images.ts';
import { buildImage, buildLayer, mediaTypes } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { push } from '../harness/push.ts';
import { BASIC_AUTHORIZATION, REGISTRY_PASSWORD, REGISTRY_USER, startRegistry } from '../harness/registry.ts';
import type { Registry } from '../harness/registry.ts';
import { file } from '../harness/root-fs.ts';
import { useStage } from '../harness/stage.ts';
import { startTokenServer } from '../harness/token-server.ts';
import type { TokenServer } from '../harness/token-server.ts';
import { eventually } from '../harness/wait.ts';

/** Stored zstd-compressed, so that what is pushed has other digests than what was pulled. */
let random: Buffer | undefined;
const sample = (): BuiltImage => {
  random ??= randomBytes(3 * 1024 * 1024);
  return buildImage([busyboxLayer(), buildLayer([file('large', random)], 'zstd'), buildLayer([file('small', 'small\n')], 'none')], { Cmd: ['cat', '/small'] });
};

const HEAVY_MIB = 160;

/** Stored as it is, so that it is quickly made. */
const heavy = (): BuiltImage => {
  const part = randomBytes(1024 * 1024).toString('hex');
  return buildImage([buildLayer([file('heavy', Buffer.from(part.repeat(HEAVY_MIB / 2)))], 'none')], { Cmd: ['sh'] });
};

const configDirectory = mkdtempSync(path.join(tmpdir(), 'berth-config-'));
const configFile = path.join(configDirectory, 'config.toml');
const authFile = path.join(configDirectory, 'auth.json');
writeFileSync(configFile, `[registry]\nauth_file = "${authFile}"\n`);
writeFileSync(authFile, '{}');

const stage = useStage({ images: { sample, layered }, pulled: [], leaks: { images: true }, flags: ['--config', configFile] });
const servers: { stop(): Promise<void> }[] = [];

/** Takes pushes, in plain HTTP. */
let target: Registry;

beforeAll(async () => {
  target = await startRegistry();
  servers.push(target);
  await plain(target);
});
beforeEach(async () => {
  for (const repository of ['sample', 'layered']) await stage.pull(stage.ref(repository));
});
afterEach(() => removeAll());

afterAll(async () => {
  for (const server of servers.toReversed()) await server.stop();
  await rm(configDirectory, { recursive: true });
});

const image = (...args: string[]): Promise<BerthResult> => berth(stage.daemon.socket, ['image', ...args]);

/** Gives the standard output of a command that has to succeed. */
async function ok(...args: string[]): Promise<string> {
  const result = await image(...args);
  expect(result).toMatchObject({ code: 0, stderr: result.stderr });
  return result.stdout.trim();
}

const images = async (): Promise<unknown> => (await stage.cri.call('ListImages', {})).images;

async function removeAll(): Promise<void> {
  for (const { id } of (await stage.cri.call('ListImages', {})).images) await stage.cri.call('RemoveImage', { image: { image: id } });
}

async function hosts(domain: string, content: string): Promise<void> {
  const directory = path.join(stage.daemon.directory, 'certs.d', domain);
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'hosts.toml'), content);
}

/** Allows pushes to a registry in plain HTTP. */
const plain = ({ host, url }: { readonly host: string; readonly url: string }): Promise<void> => hosts(host, `server = "${url}"\n`);

const diffIds = (built: BuiltImage): readonly string[] => built.layers.map(({ diffId }) => diffId);
const login = ['--user', `${REGISTRY_USER}:${REGISTRY_PASSWORD}`];

/** Requests that the registry's access log tells of, as `METHOD path status`. */
const accesses = (registry: Registry, from = 0): readonly string[] =>
  registry.log.slice(from).flatMap((line) => {
    const match = /"(\w+) (\S+) HTTP\/[\d.]+" (\d+)/.exec(line);
    return match === null ? [] : [match.slice(1).join(' ')];
  });

const manifestTypes = [mediaTypes.manifest, mediaTypes.dockerManifest].join(', ');

const manifestOf = async (registry: Registry, repository: string): Promise<{ layers: { mediaType: string; digest: string; urls?: string[] }[] }> =>
  (await (await fetch(`${registry.url}/v2/${repository}/manifests/latest`, { headers: { accept: manifestTypes } })).json()) as { layers: { mediaType: string; digest: string }[] };

describe('a pushed image', () => {
  test('runs on another node, with the same id and layers', async () => {
    const name = `${target.host}/copy/sample:v1`;
    const pushed = await image('push', stage.ref('sample'), name);
    expect(pushed).toMatchObject({ code: 0, stdout: expect.stringMatching(new RegExp(`^${target.host}/copy/sample@sha256:[0-9a-f]{64}\n$`)) as string });
    expect(pushed.stderr.trim().split('\n')).toHaveLength(3);
    const other = await prepareDaemon({ registries: { [target.host]: target.url } });
    try {
      await other.start();
      expect((await berth(other.socket, ['image', 'pull', name])).stdout.trim()).toBe(sample().id);
      const { layers } = JSON.parse((await berth(other.socket, ['image', 'inspect', sample().id])).stdout) as { layers: { diff_id: string }[] };
      expect(layers.map(({ diff_id }) => diff_id)).toEqual(diffIds(sample()));
      expect(await berth(other.socket, ['image', 'verify'])).toMatchObject({ code: 0 });
    } finally {
      await other.dispose();
    }
    await removeAll();
    await ok('pull', name);
    const pod = await stage.kubelet.runPod({ linux: { security_context: { namespace_options: { network: 'NODE' } } } });
    const id = await stage.kubelet.run(pod, { image: name, command: ['sleep', '1000'] });
    expect((await stage.kubelet.exec(id, 'cat', '/small')).stdout).toBe('small\n');
    await stage.kubelet.removePod(pod);
  });

  test('is read by skopeo', async () => {
    await ok('push', stage.ref('layered'), `${target.host}/layered`);
    const directory = path.join(await stage.directory('skopeo'), 'layered');
    execFileSync('skopeo', ['copy', '-q', '--src-tls-verify=false', `docker://${target.host}/layered:latest`, `dir:${directory}`]);
    expect(await readdir(directory)).toContain('manifest.json');
    const config = execFileSync('skopeo', ['inspect', '--tls-verify=false', '--config', '--raw', `docker://${target.host}/layered:latest`], { encoding: 'utf8' });
    expect((JSON.parse(config) as { rootfs: { diff_ids: string[] } }).rootfs.diff_ids).toEqual(diffIds(layered()));
  });

  test('in a repository beside the one that it was pulled from has its layers mounted, and its manifest unchanged', async () => {
    await plain(stage.registry);
    const from = stage.registry.log.length;
    expect(await ok('push', stage.ref('sample'), stage.ref('beside'))).toBe(`${stage.registry.host}/beside@${sample().manifest.digest}`);
    const seen = accesses(stage.registry, from);
    expect(seen.filter((line) => /^POST .*mount=.*from=sample.* 201$/.test(line))).toHaveLength(3);
    // The config alone is sent.
    expect(seen.filter((line) => line.startsWith('PUT /v2/beside/blobs/'))).toHaveLength(1);
    const again = stage.registry.log.length;
    await ok('push', stage.ref('sample'), stage.ref('beside'));
    expect(accesses(stage.registry, again).filter((line) => line.startsWith('POST'))).toEqual([]);
  });

  test('has layers that are compressed as it is told', async () => {
    // Under other hosts' names, so that nothing is mounted from what earlier pushes brought.
    for (const [level, name] of [['1', 'fast'], ['9', 'small']] as const) {
      await hosts(`${name}.example`, `server = "${target.url}"\n`);
      await ok('push', '--level', level, stage.ref('sample'), `${name}.example/${name}`);
    }
    const [fast, small] = [await manifestOf(target, 'fast'), await manifestOf(target, 'small')];
    expect(fast.layers.map(({ mediaType }) => mediaType)).toEqual(Array.from({ length: 3 }, () => 'application/vnd.oci.image.layer.v1.tar+gzip'));
    expect(fast.layers[0]?.digest).not.toBe(small.layers[0]?.digest);
    expect(await image('push', '--level', '10', stage.ref('sample'), `${target.host}/x`)).toMatchObject({ code: 2 });
  });
});

describe('a registry with a password', () => {
  const tls = { certificate: path.join(configDirectory, 'server.pem'), key: path.join(configDirectory, 'server.key') };
  let tokens: TokenServer;
  let secure: Registry;
  let basic: Registry;

  beforeAll(async () => {
    const names = ['-subj', '/CN=berth', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', tls.key, '-out', tls.certificate, ...names], { stdio: 'ignore' });
    tokens = await startTokenServer({ anonymous: false, tls, push: true });
    secure = await startRegistry(tokens.auth, undefined, tls);
    basic = await startRegistry({ kind: 'basic' });
    servers.push(tokens, secure, basic);
    await plain(basic);
  });

  test('over TLS, with tokens, takes an image and gives it back', async () => {
    expect(await image('push', ...login, stage.ref('sample'), `${secure.host}/one`)).toMatchObject({ code: 1, stderr: expect.stringMatching(/certificate/) as string });
    await hosts(secure.host, `server = "${secure.url}"\nca = "${tls.certificate}"\n`);
    expect(await image('push', stage.ref('sample'), `${secure.host}/one`)).toMatchObject({ code: 1, stderr: expect.stringMatching(/refused|wrong user/) as string });
    await ok('push', ...login, stage.ref('sample'), `${secure.host}/one`);
    await ok('pull', ...login, `${secure.host}/one`);
  });

  test('lets layers be mounted with a token for both repositories', async () => {
    const from = secure.log.length;
    await ok('push', ...login, stage.ref('sample'), `${secure.host}/two`);
    expect(accesses(secure, from).filter((line) => /^POST .*mount=.*from=one.* 201$/.test(line))).toHaveLength(3);
    const scopes = tokens.requests.map((request) => new URL(request.split(' ')[1] ?? '', 'https://tokens').searchParams.getAll('scope').toSorted().join(' '));
    expect(scopes).toContain('repository:one:pull repository:two:pull,push');
    expect(scopes).toContain('repository:two:pull,push');
  });

  test('of the basic kind takes what it is given, or what is in the configured file', async () => {
    expect(await image('push', stage.ref('layered'), `${basic.host}/given`)).toMatchObject({ code: 1, stderr: expect.stringMatching(new RegExp(`${basic.host}.*refused access`)) as string });
    await ok('push', ...login, stage.ref('layered'), `${basic.host}/given`);
    await writeFile(authFile, JSON.stringify({ auths: { [basic.host]: { auth: BASIC_AUTHORIZATION.replace('Basic ', '') } } }));
    await ok('push', stage.ref('layered'), `${basic.host}/configured`);
    await writeFile(authFile, '{}');
    expect(stage.daemon.log.join('\n')).not.toContain(REGISTRY_PASSWORD);
  });
});

describe('a registry that misbehaves', () => {
  let faulty: FaultyRegistry;
  let pushes = 0;

  beforeAll(async () => {
    faulty = await startFaultyRegistry(target.url);
    servers.push(faulty);
  });
  beforeEach(() => faulty.setRules());

  const name = (): string => `faulty-${pushes}.example/faulty-${pushes}`;

  /** Each to a host and a repository of its own, so that no layer is there already, nor in reach of a mount. */
  async function pushSample(): Promise<BerthResult> {
    pushes += 1;
    await hosts(`faulty-${pushes}.example`, `server = "${faulty.url}"\n`);
    return image('push', stage.ref('sample'), name());
  }

  test.each<[string, string, RegExp, Fault]>([
    ['500 to the start of an upload', 'POST', /uploads/, { kind: 'answer', status: 500, body: '' }],
    ['503 to its end', 'PUT', /uploads/, { kind: 'answer', status: 503, body: '' }],
    ['429 with Retry-After', 'PUT', /uploads/, { kind: 'answer', status: 429, headers: { 'retry-after': '1' }, body: '' }],
    ['502 to the manifest', 'PUT', /manifests/, { kind: 'answer', status: 502, body: '<html>bad gateway</html>' }],
    ['a connection cut in the middle of a layer', 'PUT', /uploads/, { kind: 'cut-request', after: 100_000 }],
    ['an upload that is forgotten', 'PUT', /uploads/, { kind: 'answer', status: 404, body: '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}' }],
    ['a length that is refused', 'PUT', /uploads\/.*digest/, { kind: 'answer', status: 413, body: '' }],
  ])('%s, once, only costs time', async (_, method, at, fault) => {
    faulty.setRules({ method, path: at, fault, times: 1, ...(fault.kind === 'cut-request' && { above: fault.after }) });
    const result = await pushSample();
    expect(result).toMatchObject({ code: 0, stderr: result.stderr });
    expect(faulty.seen.filter((request) => request.method === method && at.test(request.path)).length).toBeGreaterThan(method === 'PUT' && at.test('manifests') ? 1 : 4);
    await removeAll();
    expect(await ok('pull', name())).toBe(sample().id);
  });

  test.each<[string, Fault, RegExp]>([
    ['500 each time', { kind: 'answer', status: 500, body: '' }, /RegistryUnavailable.*status 500/],
    ['a Retry-After of an hour', { kind: 'answer', status: 429, headers: { 'retry-after': '3600' }, body: '' }, /RegistryUnavailable.*429/],
    ['a refusal', { kind: 'answer', status: 403, body: '{"errors":[{"code":"DENIED","message":"no room for you"}]}' }, /refused access.*DENIED no room for you.*credentials/],
    ['a cut each time', { kind: 'cut-request', after: 1000 }, /RegistryUnavailable/],
  ])('%s is an error that says so, and changes nothing', async (_, fault, message) => {
    faulty.setRules({ method: 'PUT', path: /uploads/, fault });
    const before = await images();
    const { code, stderr } = await pushSample();
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(message) as string });
    expect(stderr).toContain(`${name()}:latest`);
    expect(await images()).toEqual(before);
    expect((await readdir(path.join(stage.daemon.root, 'staging'))).filter((name) => name.startsWith('push-'))).toEqual([]);
    expect((await fetch(`${target.url}/v2/faulty-${pushes}/manifests/latest`)).status).toBe(404);
  });
});

test('a push whose client goes away ends, and leaves nothing in the staging area', async () => {
  const faulty = await startFaultyRegistry(target.url);
  try {
    await hosts('hanging.example', `server = "${faulty.url}"\n`);
    faulty.setRules({ method: 'PUT', path: /uploads/, fault: { kind: 'hang' } });
    const gone = new AbortController();
    const pushing = berth(stage.daemon.socket, ['image', 'push', stage.ref('sample'), 'hanging.example/x'], undefined, gone.signal);
    const staged = async (): Promise<readonly string[]> => (await readdir(path.join(stage.daemon.root, 'staging'))).filter((name) => name.startsWith('push-'));
    await eventually('an upload hangs', async () => (faulty.seen.some(({ method }) => method === 'PUT') ? true : undefined), 60_000);
    expect(await staged()).toHaveLength(1);
    gone.abort();
    await pushing;
    await eventually('the push is over', async () => ((await staged()).length === 0 ? true : undefined), 60_000);
    expect((await fetch(`${target.url}/v2/x/manifests/latest`)).status).toBe(404);
  } finally {
    await faulty.stop();
  }
});

test('a large layer goes out without berthd\'s growing with it, and other calls are answered meanwhile', async () => {
  await push(stage.registry, 'heavy', 'latest', heavy());
  await stage.pull(stage.ref('heavy'));
  const memory = (): number => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${stage.daemon.pid}/status`, 'utf8'))?.[1]);
  const before = memory();
  let [most, slowest, calls, done] = [before, 0, 0, false];
  const pushing = ok('push', stage.ref('heavy'), `${target.host}/heavy`).finally(() => {
    done = true;
  });
  while (!done) {
    const started = performance.now();
    await stage.cri.call('ListContainers', {});
    slowest = Math.max(slowest, performance.now() - started);
    most = Math.max(most, memory());
    calls += 1;
    await sleep(10);
  }
  await pushing;
  // The time is told, not judged: what a busy machine takes is not berthd's.
  process.stdout.write(`${HEAVY_MIB} MiB pushed: ${calls} calls meanwhile, the slowest ${slowest.toFixed(1)} ms; memory grew by ${most - before} KiB\n`);
  expect(most - before).toBeLessThan(64 * 1024);
}, 300_000);

test('what cannot be pushed is told', async () => {
  const { url, host } = stage.registry;
  expect(await image('push', 'nothing', `${host}/x`)).toMatchObject({ code: 1, stderr: expect.stringContaining('image "nothing" is not on this node') as string });
  expect(await image('push', sample().id)).toMatchObject({ code: 1, stderr: expect.stringContaining('destination') as string });
  expect(await image('push', stage.ref('sample'), `${host}/x@${sample().manifest.digest}`)).toMatchObject({ code: 1, stderr: expect.stringContaining('digest') as string });
  await hosts('pull-only.example', `server = "${url}"\ncapabilities = ["pull", "resolve"]\n`);
  expect(await image('push', stage.ref('sample'), 'pull-only.example/x')).toMatchObject({ code: 1, stderr: expect.stringContaining('capability "push"') as string });
});

describe('a foreign layer', () => {
  test('comes from its URL, and is not pushed', async () => {
    const tls = { certificate: path.join(configDirectory, 'owner.pem'), key: path.join(configDirectory, 'owner.key') };
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', tls.key, '-out', tls.certificate, '-subj', '/CN=owner', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
    const owner = await startRegistry({ kind: 'none' }, stage.registry.storage, tls);
    try {
      const base = busyboxLayer();
      const foreign = { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', digest: base.digest, size: base.bytes.length, urls: [`${owner.url}/v2/sample/blobs/${base.digest}`] };
      const built = withLayers([foreign]);
      await push(target, 'foreign', 'latest', built);
      const reference = `${target.host}/foreign`;
      await removeAll();
      expect(await image('pull', reference)).toMatchObject({ code: 1, stderr: expect.stringMatching(/certificate/) as string });
      await hosts(owner.host, `server = "${owner.url}"\nca = "${tls.certificate}"\n`);
      expect(await ok('pull', reference)).toBe(built.id);
      const from = target.log.length;
      const pushed = await image('push', reference, `${target.host}/without`);
      expect(pushed).toMatchObject({ code: 0, stderr: expect.stringContaining('left out') as string });
      expect((await manifestOf(target, 'without')).layers[0]?.urls).toEqual(foreign.urls);
      expect(accesses(target, from).filter((line) => line.includes('/blobs/') && line.includes(base.digest))).toEqual([]);
      await removeAll();
      expect(await ok('pull', `${target.host}/without`)).toBe(built.id);
    } finally {
      await owner.stop();
    }
  });
});

/** An image of the sample's first layer alone, as the descriptors say. */
function withLayers(layers: readonly object[]): BuiltImage {
  const whole = buildImage([busyboxLayer()], { Cmd: ['sh'] }, { docker: true });
  const manifest = JSON.parse(whole.manifest.bytes.toString('utf8')) as object;
  const bytes = Buffer.from(JSON.stringify({ ...manifest, layers }));
  return { ...whole, layers: [], manifest: { ...whole.manifest, bytes } };
}
