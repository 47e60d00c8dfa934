import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions, Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

/** /dev/kmsg is on every node and in no container. Reading it may take CAP_SYSLOG. */
const kmsg = 'c 1 11';

async function running(options: Omit<ContainerOptions, 'image'> = {}): Promise<{ pod: Pod; sh: (script: string) => Promise<string> }> {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], ...options });
  return { pod, sh: async (script) => (await kubelet.exec(id, 'sh', '-c', `{ ${script}; } 2>&1`)).stdout };
}

const withSyslog = { security_context: { capabilities: { add_capabilities: ['SYSLOG'] } } };

/** Which ways of opening a device work: r, w and, for both at once, rw. */
const ways = (path: string): string => `(: < ${path}) 2>/dev/null && echo r; (: >> ${path}) 2>/dev/null && echo w; (: <> ${path}) 2>/dev/null && echo rw`;

const listed = (hostPath: string, containerPath: string, permissions: string) => ({
  linux: withSyslog,
  devices: [{ host_path: hostPath, container_path: containerPath, permissions }],
});

test('a container may make a device that it was not given, but not open it', async () => {
  const { pod, sh } = await running({ linux: withSyslog });
  expect(await sh('mknod /block b 7 0 && mknod /kmsg c 1 11 && ls /block /kmsg')).toBe('/block\n/kmsg\n');
  expect(await sh(': < /block')).toContain('Operation not permitted');
  expect(await sh(': >> /block')).toContain('Operation not permitted');
  expect(await sh(ways('/kmsg'))).toBe('');
  await stage.kubelet.removePod(pod);
});

test('the rule also holds for the container\'s first process', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { status, lines } = await kubelet.runToEnd(pod, {
    image: stage.ref('busybox'),
    command: ['sh', '-c', `mknod /kmsg ${kmsg} && echo made; ${ways('/kmsg')}; ${ways('/dev/null')}`],
    linux: withSyslog,
  });
  expect(lines.map(({ text }) => text)).toEqual(['made', 'r', 'w', 'rw']);
  expect(status.exit_code).toBe(0);
  await kubelet.removePod(pod);
});

test('the standard devices and pseudo terminals work', async () => {
  const { pod, sh } = await running();
  for (const name of ['null', 'zero', 'full', 'random', 'urandom', 'ptmx']) expect(await sh(`: <> /dev/${name} && echo ${name}`)).toBe(`${name}\n`);
  expect(await sh('dd if=/dev/zero bs=1 count=3 2>/dev/null | wc -c')).toBe('3\n');
  expect(await sh('echo x > /dev/full')).toContain('No space left on device');
  await stage.kubelet.removePod(pod);
});

test.each([['r', 'r\n'], ['w', 'w\n'], ['rw', 'r\nw\nrw\n'], ['rwm', 'r\nw\nrw\n'], ['m', ''], ['', 'r\nw\nrw\n']])(
  'a device listed with "%s" can be opened just so, under any name',
  async (permissions, expected) => {
    const { pod, sh } = await running(listed('/dev/kmsg', '/dev/given/kmsg', permissions));
    expect(await sh(ways('/dev/given/kmsg'))).toBe(expected);
    expect(await sh(`mknod /other ${kmsg}; ${ways('/other')}`)).toBe(expected);
    expect(await sh(`mknod /block b 7 0; ${ways('/block')}`)).toBe('');
    await stage.kubelet.removePod(pod);
  },
);

test('a privileged container opens every device', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ linux: { security_context: { privileged: true } } });
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sleep', '1000'],
    linux: { security_context: { privileged: true } },
  });
  expect((await kubelet.exec(id, 'sh', '-c', ways('/dev/kmsg'))).stdout).toBe('r\nw\nrw\n');
  expect((await kubelet.exec(id, 'sh', '-c', `mknod /kmsg ${kmsg}; ${ways('/kmsg')}`)).stdout).toBe('r\nw\nrw\n');
  await kubelet.removePod(pod);
});

test('letters that are none are refused', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const options = { image: stage.ref('busybox'), ...listed('/dev/kmsg', '/dev/kmsg', 'rx') };
  await expectCode(kubelet.create(pod, options), 'INVALID_ARGUMENT', /config\.devices\[0\]\.permissions/);
  await kubelet.removePod(pod);
});
