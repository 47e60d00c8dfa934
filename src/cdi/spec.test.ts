import { expect, test } from 'vitest';
import { parseSpec } from './spec.ts';

const spec = (edits: object, changes: object = {}) => ({
  cdiVersion: '1.0.0', kind: 'acme.com/gpu', devices: [{ name: 'a', containerEdits: edits }], ...changes,
});
const node = (changes: object) => spec({ deviceNodes: [{ path: '/dev/a', ...changes }] });
const mount = (changes: object) => spec({ mounts: [{ hostPath: '/a', containerPath: '/b', ...changes }] });
const hook = (changes: object) => spec({ hooks: [{ hookName: 'createContainer', path: '/bin/h', ...changes }] });

test('everything that a spec may say is read', () => {
  const { kind, edits, devices } = parseSpec(
    spec(
      {
        env: ['A=b=c'],
        deviceNodes: [{ path: '/dev/a', hostPath: '/dev/h', type: 'u', major: 5, minor: 6, fileMode: 8624, permissions: 'r', uid: 1, gid: 2 }],
        mounts: [{ hostPath: '/h', containerPath: '/c', options: ['ro'], type: 'none' }],
        hooks: [{ hookName: 'poststop', path: '/bin/h', args: ['h', '-v'], env: ['X='], timeout: 3 }],
        additionalGids: [44],
      },
      { annotations: { a: 'b' }, containerEdits: { env: ['G=1'] } },
    ),
  );
  expect(kind).toBe('acme.com/gpu');
  expect(edits.env).toEqual(['G=1']);
  expect(devices.get('a')).toEqual({
    env: ['A=b=c'],
    deviceNodes: [{ path: '/dev/a', hostPath: '/dev/h', type: 'c', major: 5, minor: 6, fileMode: 0o660, permissions: 'r', uid: 1, gid: 2 }],
    mounts: [{ hostPath: '/h', containerPath: '/c', options: ['ro'], type: 'none' }],
    hooks: [{ hookName: 'poststop', path: '/bin/h', args: ['h', '-v'], env: ['X='], timeout: 3 }],
    additionalGids: [44],
    unsupported: [],
  });
});

test.each([
  ['is not an object', null],
  ['is not an object', []],
  ['cdiVersion', spec({ env: ['A=1'] }, { cdiVersion: '2.0.0' })],
  ['cdiVersion', spec({ env: ['A=1'] }, { cdiVersion: '' })],
  ['kind', spec({ env: ['A=1'] }, { kind: 'gpu' })],
  ['kind', spec({ env: ['A=1'] }, { kind: 'acme/../x' })],
  ['kind', spec({ env: ['A=1'] }, { kind: 7 })],
  ['surprise: there is no such field', spec({ env: ['A=1'] }, { surprise: 1 })],
  ['devices: is empty', spec({}, { devices: [] })],
  ['devices: is not a list', spec({}, { devices: {} })],
  ['devices[0].containerEdits: is empty', spec({})],
  ['devices[0].name', spec({}, { devices: [{ name: '-a', containerEdits: { env: ['A=1'] } }] })],
  ['devices[1].name: "a" appears twice', spec({}, { devices: [{ name: 'a', containerEdits: { env: ['A=1'] } }, { name: 'a', containerEdits: { env: ['A=1'] } }] })],
  ['devices[0].containerEdits.env[0]', spec({ env: ['=x'] })],
  ['devices[0].containerEdits.env[0]', spec({ env: ['A=\0'] })],
  ['devices[0].containerEdits.env[0]', spec({ env: [1] })],
  ['devices[0].containerEdits.additionalGids[0]', spec({ additionalGids: [4_294_967_295] })],
  ['devices[0].containerEdits.additionalGids[0]', spec({ additionalGids: [-1] })],
  ['devices[0].containerEdits.more', spec({ more: [] })],
  ['devices[0].containerEdits.deviceNodes[0].path', node({ path: 'dev/a' })],
  ['devices[0].containerEdits.deviceNodes[0].path', node({ path: `/${'a'.repeat(4096)}` })],
  ['devices[0].containerEdits.deviceNodes[0].type', node({ type: 'x' })],
  ['devices[0].containerEdits.deviceNodes[0].type', node({ type: 'constructor' })],
  ['devices[0].containerEdits.deviceNodes[0].major', node({ major: 2 ** 40 })],
  ['devices[0].containerEdits.deviceNodes[0].fileMode', node({ fileMode: -1 })],
  ['devices[0].containerEdits.deviceNodes[0].uid', node({ uid: 4_294_967_296 })],
  ['devices[0].containerEdits.deviceNodes[0].permissions', node({ permissions: 'rx' })],
  ['devices[0].containerEdits.deviceNodes[0].hostPath', node({ hostPath: '../x' })],
  ['devices[0].containerEdits.mounts[0].hostPath', mount({ hostPath: '' })],
  ['devices[0].containerEdits.mounts[0].containerPath', mount({ containerPath: 'c' })],
  ['devices[0].containerEdits.mounts[0].options[0]', mount({ options: [null] })],
  ['devices[0].containerEdits.hooks[0].hookName', hook({ hookName: 'prestop' })],
  ['devices[0].containerEdits.hooks[0].path', hook({ path: 'h' })],
  ['devices[0].containerEdits.hooks[0].timeout', hook({ timeout: 0 })],
  ['devices[0].containerEdits.hooks[0].env[0]', hook({ env: ['A'] })],
])('%s', (message, document) => {
  expect(() => parseSpec(document)).toThrow(message);
});

test.each([
  ['0.4.0', '0.3.0', mount({ type: 'tmpfs' })],
  ['0.5.0', '0.4.0', node({ hostPath: '/dev/b' })],
  ['0.5.0', '0.4.0', spec({}, { devices: [{ name: '0', containerEdits: { env: ['A=1'] } }] })],
  ['0.6.0', '0.5.0', spec({ env: ['A=1'] }, { annotations: { a: 'b' } })],
  ['0.6.0', '0.5.0', spec({ env: ['A=1'] }, { kind: 'acme.com/gpu.x' })],
  ['0.7.0', '0.6.0', spec({ additionalGids: [5] })],
  ['0.7.0', '0.6.0', spec({ intelRdt: { closID: 'x' } })],
  ['1.1.0', '1.0.0', spec({ netDevices: [{ hostInterfaceName: 'a', name: 'b' }] })],
  ['1.1.0', '0.8.0', spec({ intelRdt: { enableMonitoring: true } })],
])('what came with %s is refused of a spec of %s', (since, before, document) => {
  expect(() => parseSpec({ ...document, cdiVersion: before })).toThrow(`needs ${since}`);
  expect(parseSpec({ ...document, cdiVersion: since }).devices.size).toBe(1);
});
