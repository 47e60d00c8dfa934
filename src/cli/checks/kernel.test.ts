import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kernelChecks } from './kernel.ts';
import { judgeOverlay } from './overlay.ts';
import { judgeSwap } from './swap.ts';
import { fileSystemType, judgeIdMapping } from './user-namespaces.ts';

describe('swap', () => {
  const heading = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
  const on = `${heading}/swapfile file 2097148 0 -2\n/dev/zram0 partition 1048576 0 100\n`;

  test.each([
    ['none', heading, '', 'ok', 'none'],
    ['on, and the kubelet would refuse it', on, 'failSwapOn: true\n', 'limited', '3072 MiB'],
    ['on, with the kubelet\'s default', on, '', 'limited', '3072 MiB'],
    ['on, and accepted', on, 'kind: KubeletConfiguration\nfailSwapOn: false\n', 'ok', '3072 MiB, accepted by the kubelet'],
  ])('%s', (_, swaps, kubelet, state, found) => {
    expect(judgeSwap(swaps, kubelet)).toMatchObject({ state, found });
  });
});

test('each option of overlayfs that was refused has its cost', () => {
  const checks = judgeOverlay(['volatile', 'metacopy=on']);
  expect(checks.map(({ name, state }) => [name, state])).toEqual([
    ['overlay volatile', 'ok'], ['overlay redirect_dir', 'limited'], ['overlay metacopy', 'ok'], ['overlay userxattr', 'limited'],
  ]);
  expect(checks[1]?.cost).toContain('EXDEV');
});

test.each([
  ['ext4', '5.12.0', 'ok'], ['ext4', '5.11.9', 'limited'], ['tmpfs', '6.1.0', 'limited'], ['tmpfs', '6.3.0', 'ok'], ['nfs4', '6.18.0', 'limited'],
])('id-mapped mounts of %s on %s', (type, kernel, state) => {
  expect(judgeIdMapping(type, kernel).state).toBe(state);
});

test('the type of a file system is that of the last mount above', () => {
  const mountinfo = '1 0 8:1 / / rw shared:1 - ext4 /dev/root rw\n2 1 8:2 / /var/lib rw - xfs /dev/sdb rw\n';
  expect(['/var/lib/berth', '/var/library', '/var/lib'].map((path) => fileSystemType(mountinfo, path))).toEqual(['xfs', 'ext4', 'xfs']);
});

test('trying leaves nothing behind', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-kernel-'));
  try {
    const names = (await kernelChecks(join(root, 'not/yet/there'))).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['overlay', 'user namespaces', 'id-mapped mounts of root', 'swap', 'pressure (PSI)']));
    expect(await readdir(root)).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});
