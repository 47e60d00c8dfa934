import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noEdits } from '../../cdi/edits.ts';
import { imageConfig, mount, resources, security, storedConfig } from '../testing/requests.ts';
import { berthConfig, ociConfig, writeBundle } from './bundle.ts';
import type { BundleInput } from './bundle.ts';

const input = (changes: Partial<BundleInput> = {}): BundleInput => ({
  id: 'a'.repeat(64),
  config: storedConfig(),
  image: imageConfig({ user: 'web' }),
  hostname: 'h',
  namespaces: [{ type: 'mount' }, { type: 'network', path: '/run/netns/x' }],
  mounts: { hosts: '/s/hosts', hostname: '/s/hostname', resolvConf: '/s/resolv.conf', shm: '/s/shm', idMaps: null, images: new Map(), empty: '/s/empty', volumes: [] },
  devices: { devices: [], rules: [{ allow: false, access: 'rwm' }] },
  edits: noEdits,
  cgroup: { path: '/sys/fs/cgroup/berth/x', relative: '/berth/x' },
  rootfs: { lower: ['/top', '/bottom'], upper: '/u', work: '/w' },
  logPath: '/log',
  logRate: 0,
  confinement: { seccompFilter: '', appArmorProfile: '' },
  grantable: new Set(['CHOWN', 'KILL']),
  maxOpenFiles: 1_000_000,
  ...changes,
});

const secured = (changes: Parameters<typeof security>[0]) => input({ config: storedConfig({ linux: { resources: null, security_context: security(changes) } }) });

test('config.json is a bundle of the OCI runtime spec', () => {
  const config = storedConfig({ linux: { resources: resources({ oom_score_adj: '-997' }), security_context: security({ no_new_privs: true, readonly_rootfs: true }) }, mounts: [mount({ propagation: 'PROPAGATION_BIDIRECTIONAL' })] });
  expect(ociConfig(input({ config }))).toMatchObject({
    ociVersion: '1.2.0',
    process: {
      args: ['/entry', 'serve'],
      cwd: '/',
      terminal: false,
      noNewPrivileges: true,
      oomScoreAdj: -997,
      capabilities: { bounding: ['CAP_CHOWN', 'CAP_KILL'], inheritable: [] },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 524_288 }],
    },
    root: { path: 'rootfs', readonly: true },
    linux: {
      cgroupsPath: '/berth/x',
      namespaces: [{ type: 'mount' }, { type: 'network', path: '/run/netns/x' }],
      rootfsPropagation: 'rshared',
    },
  });
});

test('masks are the request\'s, also where it has none, and none for a privileged container', () => {
  expect(ociConfig(input({ config: storedConfig({ linux: null }) }))).toMatchObject({
    linux: { maskedPaths: expect.arrayContaining(['/proc/kcore', '/sys/firmware']) as string[], readonlyPaths: expect.arrayContaining(['/proc/sys']) as string[] },
  });
  expect(ociConfig(secured({}))).toMatchObject({ linux: { maskedPaths: [], readonlyPaths: [] } });
  expect(ociConfig(secured({ masked_paths: ['/proc/x'], readonly_paths: ['/proc/y'] }))).toMatchObject({ linux: { maskedPaths: ['/proc/x'], readonlyPaths: ['/proc/y'] } });
  expect(ociConfig(secured({ privileged: true, masked_paths: ['/proc/x'] }))).toMatchObject({ linux: { maskedPaths: [], readonlyPaths: [] } });
});

test('limits of open files are never above what berthd has', () => {
  expect(ociConfig(input({ maxOpenFiles: 512 }))).toMatchObject({ process: { rlimits: [{ soft: 512, hard: 512 }] } });
});

test('berth.json has what the OCI spec has no place for', () => {
  expect(berthConfig(input({ config: storedConfig({ stdin: true, stdin_once: true }) }))).toEqual({
    id: 'a'.repeat(64),
    rootfs: { lower: ['/top', '/bottom'], upper: '/u', work: '/w', volatile: true },
    log: { path: '/log', rate: 0 },
    stdin: true,
    stdinOnce: true,
    cgroup: '/sys/fs/cgroup/berth/x',
    user: { spec: 'web', group: -1, supplementalGroups: [], policy: 'merge' },
  });
  expect(berthConfig(input({ logPath: '' }))).toMatchObject({ log: null });
});

test('both files are written for root alone, beside an empty root', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-bundle-'));
  try {
    await writeBundle(join(directory, 'b'), { oci: 1 }, { berth: 2 });
    expect(JSON.parse(await readFile(join(directory, 'b/config.json'), 'utf8'))).toEqual({ oci: 1 });
    expect(JSON.parse(await readFile(join(directory, 'b/berth.json'), 'utf8'))).toEqual({ berth: 2 });
    for (const name of ['config.json', 'berth.json']) expect((await stat(join(directory, 'b', name))).mode & 0o777).toBe(0o600);
    expect((await stat(join(directory, 'b/rootfs'))).isDirectory()).toBe(true);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('what CDI devices bring is in the bundle', () => {
  const edits = {
    ...noEdits,
    env: ['GPU=0', 'PATH=/gpu/bin'],
    mounts: [
      { hostPath: '/usr/lib/gpu', containerPath: '/usr/lib/gpu', type: '', options: ['ro', 'nosuid'] },
      { hostPath: '/run/gpu', containerPath: '/dev/shm', type: 'none', options: ['rbind'] },
    ],
    additionalGids: [0, 44],
    hooks: [
      { hookName: 'createContainer' as const, path: '/usr/bin/ldcache', args: ['ldcache', '--all'], env: ['A=b'], timeout: 5 },
      { hookName: 'poststop' as const, path: '/usr/bin/release', args: [], env: [], timeout: undefined },
      { hookName: 'createContainer' as const, path: '/usr/bin/second', args: [], env: [], timeout: undefined },
    ],
  };
  const oci = ociConfig(input({ edits })) as { process: { env: string[] }; mounts: { destination: string }[] };
  expect(oci.process.env).toEqual(['PATH=/gpu/bin', 'HOSTNAME=h', 'GPU=0']);
  expect(oci.mounts).toContainEqual({ destination: '/usr/lib/gpu', type: 'bind', source: '/usr/lib/gpu', options: ['bind', 'ro', 'nosuid'] });
  expect(oci.mounts.filter(({ destination }) => destination === '/dev/shm')).toEqual([{ destination: '/dev/shm', type: 'none', source: '/run/gpu', options: ['rbind'] }]);
  expect(oci).toMatchObject({
    hooks: {
      createContainer: [{ path: '/usr/bin/ldcache', args: ['ldcache', '--all'], env: ['A=b'], timeout: 5 }, { path: '/usr/bin/second' }],
      poststop: [{ path: '/usr/bin/release' }],
    },
  });
  expect(ociConfig(input())).not.toHaveProperty('hooks');
  expect(berthConfig(input({ edits }))).toMatchObject({ user: { supplementalGroups: [44] } });
});
