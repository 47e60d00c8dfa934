import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CdiCatalogue } from './catalogue.ts';

const log = pino({ level: 'silent' });
let directory = '';
const low = () => join(directory, 'low');
const high = () => join(directory, 'high');
let catalogue: CdiCatalogue;

const spec = (name: string, value: string, changes: object = {}) =>
  JSON.stringify({ cdiVersion: '0.6.0', kind: 'acme.com/gpu', devices: [{ name, containerEdits: { env: [`GPU=${value}`] } }], ...changes });
const envOf = async (...names: string[]) => (await catalogue.edits(names.map((name, index) => ({ name, field: `config.CDI_devices[${index}].name` })))).env;
const refusal = (message: string) => ({ code: 'INVALID_FIELD', message: expect.stringContaining(message) as string });

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-cdi-'));
  await Promise.all([mkdir(low()), mkdir(high())]);
  catalogue = new CdiCatalogue([low(), join(directory, 'missing'), high()], log);
});

afterEach(() => rm(directory, { recursive: true }));

test('a device brings its spec\'s edits once and its own, in the order of the request', async () => {
  const devices = ['a', 'b'].map((name) => ({ name, containerEdits: { env: [`NAME=${name}`], additionalGids: [5] } }));
  await writeFile(join(low(), 'x.json'), spec('', '', { cdiVersion: '0.7.0', containerEdits: { env: ['ALL=1'] }, devices }));
  expect(await envOf('acme.com/gpu=b', 'acme.com/gpu=a', 'acme.com/gpu=b')).toEqual(['ALL=1', 'NAME=b', 'NAME=a']);
  expect((await catalogue.edits([])).env).toEqual([]);
});

test('YAML is read as the programs of its writers read it', async () => {
  await writeFile(
    join(low(), 'x.yaml'),
    `cdiVersion: "0.5.0"
kind: acme.com/gpu
devices:
- name: 0
  containerEdits:
    env: ["ON=yes"]
    deviceNodes:
    - {path: /dev/a, hostPath: /dev/b, fileMode: 0660, permissions: rw, uid: 1}
- name: 0000:01:00.0
  containerEdits: {env: [PCI=1]}
`,
  );
  expect(await envOf('acme.com/gpu=0')).toEqual(['ON=yes']);
  expect(await envOf('acme.com/gpu=0000:01:00.0')).toEqual(['PCI=1']);
  const { deviceNodes } = await catalogue.edits([{ name: 'acme.com/gpu=0', field: 'f' }]);
  expect(deviceNodes).toMatchObject([{ path: '/dev/a', hostPath: '/dev/b', fileMode: 0o660, permissions: 'rw', uid: 1, gid: undefined }]);
});

test('a device of a later directory hides that of an earlier one', async () => {
  await writeFile(join(low(), 'x.json'), spec('a', 'low'));
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=low']);
  await writeFile(join(high(), 'y.json'), spec('a', 'high'));
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=high']);
});

test('two files of one directory with one device: nobody gets it, others of them do', async () => {
  const other = [{ name: 'b', containerEdits: { env: ['GPU=b'] } }, { name: 'a', containerEdits: { env: ['GPU=2'] } }];
  await writeFile(join(low(), 'x.json'), spec('a', '1'));
  await writeFile(join(low(), 'y.json'), spec('', '', { devices: other }));
  await expect(envOf('acme.com/gpu=b', 'acme.com/gpu=a')).rejects.toMatchObject(refusal('config.CDI_devices[1].name: CDI device "acme.com/gpu=a" is in more than one file'));
  expect(await envOf('acme.com/gpu=b')).toEqual(['GPU=b']);
  await writeFile(join(high(), 'z.json'), spec('a', '3'));
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=3']);
});

test('changes count at once: new, changed, broken, repaired, gone', async () => {
  const path = join(low(), 'x.json');
  await expect(envOf('acme.com/gpu=a')).rejects.toMatchObject(refusal('there is no CDI device "acme.com/gpu=a"'));
  await writeFile(path, spec('a', '1'));
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=1']);
  await writeFile(path, spec('a', '2'));
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=2']);
  await writeFile(path, '{');
  await expect(envOf('acme.com/gpu=a')).rejects.toMatchObject(refusal(`${path}: `));
  await writeFile(path, spec('a', '3'));
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=3']);
  await rm(path);
  await expect(envOf('acme.com/gpu=a')).rejects.toMatchObject(refusal('there is no CDI device'));
});

test('a broken file breaks only its own devices, and what is no spec is passed over', async () => {
  await writeFile(join(low(), 'good.json'), spec('a', '1'));
  await writeFile(join(low(), 'broken.yaml'), 'a: [');
  await writeFile(join(low(), 'twice.yaml'), 'kind: a/b\nkind: a/c\n');
  await writeFile(join(low(), 'bomb.yaml'), `a: &a [x, x]\n${Array.from({ length: 200 }, (_, i) => `k${i}: *a`).join('\n')}\n`);
  await writeFile(join(low(), 'readme.txt'), 'not a spec');
  await mkdir(join(low(), 'directory.json'));
  execFileSync('mkfifo', [join(low(), 'fifo.json')]);
  expect(await envOf('acme.com/gpu=a')).toEqual(['GPU=1']);
});

test('what Berth cannot do is refused with the device that needs it, not with the file', async () => {
  const devices = [
    { name: 'a', containerEdits: { intelRdt: { closID: 'x' } } },
    { name: 'b', containerEdits: { netDevices: [{ hostInterfaceName: 'eth7', name: 'net1' }] } },
    { name: 'c', containerEdits: { env: ['GPU=c'] } },
  ];
  await writeFile(join(low(), 'x.json'), spec('', '', { cdiVersion: '1.1.0', devices }));
  await expect(envOf('acme.com/gpu=a')).rejects.toMatchObject(refusal('needs intelRdt'));
  await expect(envOf('acme.com/gpu=b')).rejects.toMatchObject(refusal('needs netDevices'));
  expect(await envOf('acme.com/gpu=c')).toEqual(['GPU=c']);
});

test.each(['', 'gpu', 'acme.com/gpu', 'acme.com/gpu=', '=a', 'acme.com/gpu/x=a', '../gpu=a', '/dev/null', 'acme.com/gpu=a b', '1acme/gpu=a', `a/b=${'x'.repeat(10)}-`])(
  '"%s" is not the name of a device',
  async (name) => {
    await expect(envOf(name)).rejects.toMatchObject(refusal('config.CDI_devices[0].name: '));
  },
);
