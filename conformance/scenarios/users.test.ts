import { describe, expect, test } from 'vitest';
import type { LinuxContainerSecurityContext } from '../../src/cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import { busybox, withUser } from '../harness/images.ts';
import { textOf } from '../harness/cri-log.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({
  images: {
    busybox,
    'user-uid': () => withUser('1002'),
    'user-name': () => withUser('alice'),
    'user-uid-gid': () => withUser('1003:1004'),
    'user-name-group': () => withUser('www-data:users'),
    'user-unknown': () => withUser('stranger'),
  },
});

interface Case {
  readonly what: string;
  readonly image?: string;
  readonly security?: LinuxContainerSecurityContext;
  readonly uid: number;
  readonly gid: number;
  /** All groups, the primary one among them. */
  readonly groups: readonly number[];
  readonly home: string;
}

const cases: readonly Case[] = [
  { what: 'root by default', uid: 0, gid: 0, groups: [0], home: '/root' },
  { what: 'a number from the image', image: 'user-uid', uid: 1002, gid: 0, groups: [0], home: '/' },
  { what: 'a name from the image, with its groups', image: 'user-name', uid: 1000, gid: 1000, groups: [1000, 2000, 2001], home: '/home/alice' },
  { what: 'a number and a group from the image', image: 'user-uid-gid', uid: 1003, gid: 1004, groups: [1004], home: '/' },
  { what: 'a name and a group name from the image', image: 'user-name-group', uid: 33, gid: 100, groups: [100], home: '/var/www' },
  { what: 'run_as_user over the image', image: 'user-uid', security: { run_as_user: { value: 1001 } }, uid: 1001, gid: 1001, groups: [1001, 2001], home: '/home/bob' },
  { what: 'run_as_user that has no entry', security: { run_as_user: { value: 4242 } }, uid: 4242, gid: 0, groups: [0], home: '/' },
  { what: 'run_as_username', security: { run_as_username: 'bob' }, uid: 1001, gid: 1001, groups: [1001, 2001], home: '/home/bob' },
  {
    what: 'run_as_group with run_as_user',
    security: { run_as_user: { value: 1000 }, run_as_group: { value: 5000 } },
    uid: 1000, gid: 5000, groups: [2000, 2001, 5000], home: '/home/alice',
  },
  {
    what: 'supplemental groups beside those of the image',
    security: { run_as_user: { value: 1000 }, supplemental_groups: [3000, 3001] },
    uid: 1000, gid: 1000, groups: [1000, 2000, 2001, 3000, 3001], home: '/home/alice',
  },
  {
    what: 'supplemental groups alone, with the strict policy',
    security: { run_as_user: { value: 1000 }, supplemental_groups: [3000], supplemental_groups_policy: 'Strict' },
    uid: 1000, gid: 1000, groups: [1000, 3000], home: '/home/alice',
  },
];

describe('a container runs as', () => {
  test.each(cases)('$what', async ({ image = 'busybox', security, uid, gid, groups, home }) => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const command = ['sh', '-c', 'echo $(id -u) $(id -g) $HOME; id -G | tr " " "\\n" | sort -n | tr "\\n" " "'];
    const { status, lines } = await kubelet.runToEnd(pod, {
      image: stage.ref(image),
      command,
      ...(security === undefined ? {} : { linux: { security_context: security } }),
    });
    expect(status.exit_code).toBe(0);
    const [ids, groupLine] = textOf(lines, 'stdout').trim().split('\n');
    expect(ids).toBe(`${uid} ${gid} ${home}`);
    expect([...new Set(groupLine?.trim().split(' ').map(Number))]).toEqual(groups);
    expect(status.user?.linux).toMatchObject({ uid: String(uid), gid: String(gid) });
    expect(status.user?.linux?.supplemental_groups.map(Number).sort((a, b) => a - b)).toEqual(groups);
    await kubelet.removePod(pod);
  });
});

test('an exec has the user, groups and home of its container', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sleep', '1000'],
    linux: { security_context: { run_as_user: { value: 1000 }, supplemental_groups: [3000] } },
  });
  const { stdout } = await kubelet.exec(id, 'sh', '-c', 'echo $(id -u):$(id -g) $HOME; id -G');
  const [ids, groups] = stdout.trim().split('\n');
  expect(ids).toBe('1000:1000 /home/alice');
  expect(groups?.split(' ').map(Number).sort((a, b) => a - b)).toEqual([1000, 2000, 2001, 3000]);
  await kubelet.removePod(pod);
});

test('a user name that the image does not know is refused by name', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  await expectCode(kubelet.create(pod, { image: stage.ref('user-unknown'), command: ['true'] }), 'INVALID_ARGUMENT', /stranger/);
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
  await kubelet.removePod(pod);
});

test('user ids that no kernel has are refused', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  for (const value of ['-1', '4294967295', '4294967296', '9223372036854775807']) {
    const linux = { security_context: { run_as_user: { value } } };
    await expectCode(kubelet.create(pod, { image: stage.ref('busybox'), command: ['true'], linux }), 'INVALID_ARGUMENT', /run_as_user/);
  }
  await kubelet.removePod(pod);
});

test('a group without a user is refused, as the CRI says', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const linux = { security_context: { run_as_group: { value: 1000 } } };
  await expectCode(kubelet.create(pod, { image: stage.ref('busybox'), command: ['true'], linux }), 'INVALID_ARGUMENT', /run_as_group/);
  await kubelet.removePod(pod);
});
