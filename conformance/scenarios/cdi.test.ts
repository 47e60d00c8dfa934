import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';

/** Where the daemon looks for specs. Made before it starts, as its options are given then. */
const specs = await mkdtemp(path.join(tmpdir(), 'berth-cdi-'));
const stage = useStage({ images: { busybox }, flags: ['--cdi-spec-dir', path.join(specs, 'static'), '--cdi-spec-dir', path.join(specs, 'dynamic')] });

beforeAll(async () => {
  await mkdir(path.join(specs, 'static'));
  await mkdir(path.join(specs, 'tools'));
  await writeFile(path.join(specs, 'tools/driver'), 'the driver\n');
});
afterAll(() => rm(specs, { recursive: true }));

const device = 'acme.com/gpu=0';

async function writeSpec(name: string, text: string): Promise<void> {
  await mkdir(path.dirname(path.join(specs, name)), { recursive: true });
  await writeFile(path.join(specs, name), text);
}

const yaml = (host: string): string => `cdiVersion: "0.7.0"
kind: acme.com/gpu
containerEdits:
  env: [ALL_GPUS=yes]
devices:
- name: "0"
  containerEdits:
    env: ["GPU=${host}"]
    additionalGids: [4444]
    deviceNodes:
    - {path: /dev/gpu0, hostPath: ${host}, permissions: r, fileMode: 0640, gid: 4444}
    mounts:
    - {hostPath: ${specs}/tools, containerPath: /opt/driver, options: [ro, nosuid, nodev, bind]}
`;

test('a container gets what the spec of its device says: nodes with just these rights, mounts, variables, groups', async () => {
  const { kubelet } = stage;
  await writeSpec('static/gpu.yaml', yaml('/dev/kmsg'));
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sleep', '1000'],
    CDI_devices: [{ name: device }],
    linux: { security_context: { capabilities: { add_capabilities: ['SYSLOG'] } } },
  });
  const sh = async (script: string): Promise<string> => (await kubelet.exec(id, 'sh', '-c', `{ ${script}; } 2>&1`)).stdout;
  expect(await sh('echo $GPU $ALL_GPUS')).toBe('/dev/kmsg yes\n');
  expect(await sh('stat -c "%a %u %g %t:%T" /dev/gpu0')).toBe('640 0 4444 1:b\n');
  expect(await sh('(: < /dev/gpu0) && echo r; (: >> /dev/gpu0) || echo denied')).toMatch(/^r\n[^]*not permitted[^]*denied\n$/);
  expect(await sh('cat /opt/driver/driver; touch /opt/driver/x')).toMatch(/^the driver\n[^]*Read-only/);
  expect((await kubelet.status(id)).user?.linux?.supplemental_groups).toContain('4444');
  await kubelet.removePod(pod);
});

test('an annotation asks for a device, too; a change of the spec counts for the next container, a broken file for its own devices', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const echo = async (name: string, annotations: Record<string, string>): Promise<string> => {
    const { lines } = await kubelet.runToEnd(pod, { name, image: stage.ref('busybox'), command: ['sh', '-c', 'echo $GPU'], annotations });
    return lines.map(({ text }) => text).join();
  };
  await writeSpec('static/gpu.yaml', yaml('/dev/null'));
  expect(await echo('one', { 'cdi.k8s.io/acme_x': device })).toBe('/dev/null');
  await writeSpec('dynamic/gpu.json', JSON.stringify({ cdiVersion: '1.0.0', kind: 'acme.com/gpu', devices: [{ name: '0', containerEdits: { env: ['GPU=dynamic'] } }] }));
  expect(await echo('two', { 'cdi.k8s.io/acme_x': device })).toBe('dynamic');
  await writeSpec('dynamic/other.json', '{');
  expect(await echo('three', { 'cdi.k8s.io/acme_x': device })).toBe('dynamic');
  const absent = { image: stage.ref('busybox'), command: ['true'], CDI_devices: [{ name: 'acme.com/other=0' }] };
  await expectCode(kubelet.create(pod, { name: 'four', ...absent }), 'INVALID_ARGUMENT', /config\.CDI_devices\[0\]\.name: there is no CDI device "acme\.com\/other=0".*other\.json/);
  await kubelet.removePod(pod);
});

const hooked = (hooks: string): string => `cdiVersion: "0.7.0"
kind: acme.com/gpu
devices:
- name: "0"
  containerEdits:
    hooks:
${hooks}`;

test('hooks of a spec: one fills the root before the program is there, one runs inside before it; one that fails refuses the container', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const request = { image: stage.ref('busybox'), CDI_devices: [{ name: device }] };
  const inHost = 'test -f config.json; cat > rootfs/etc/state; readlink /proc/self/ns/uts > rootfs/etc/uts; echo cache > rootfs/etc/ld.so.cache';
  await rm(path.join(specs, 'dynamic'), { recursive: true, force: true });
  await writeSpec('static/gpu.yaml', hooked(`    - {hookName: createContainer, path: /bin/sh, args: [sh, -ec, "cd ..; ${inHost}"], timeout: 30}
    - {hookName: startContainer, path: /bin/sh, args: [sh, -c, "cat /etc/ld.so.cache > /etc/started"]}
`));
  const { status, lines } = await kubelet.runToEnd(pod, {
    ...request,
    name: 'hooked',
    command: ['sh', '-c', 'cat /etc/started; grep -cF "$(readlink /proc/self/ns/uts)" /etc/uts; cat /etc/state'],
  });
  expect(lines.slice(0, 2).map(({ text }) => text)).toEqual(['cache', '1']);
  expect(JSON.parse(lines[2]?.text ?? '')).toMatchObject({ id: status.id, status: 'creating', pid: expect.any(Number) as number });
  await writeSpec('static/gpu.yaml', hooked('    - {hookName: createContainer, path: /bin/sh, args: [sh, -c, "echo no such card >&2; exit 3"]}\n'));
  await expectCode(kubelet.create(pod, { ...request, name: 'failing', command: ['true'] }), 'INTERNAL', /hook \/bin\/sh: exited with 3: no such card/);
  const { containers } = await cri.call('ListContainers', {});
  expect(containers.map((container) => container.id)).toEqual([status.id]);
  await kubelet.removePod(pod);
});
