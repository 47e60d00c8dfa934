import { expect, test } from 'vitest';
import { containerTo, parseContainerRecord } from './container.ts';
import type { ContainerPhase, ContainerRecord } from './container.ts';
import { parseSandboxRecord, sandboxName, sandboxTo } from './sandbox.ts';
import type { SandboxPhase, SandboxRecord } from './sandbox.ts';

const sandbox = {
  version: 1, id: 's', name: 'n', phase: 'creating', runtimeHandler: '', createdAt: '17', bootId: 'b', ips: [], cniResult: null, hostname: 'h',
  config: { metadata: { name: 'web', namespace: 'shop', uid: 'u', attempt: 2 }, labels: {}, annotations: {}, port_mappings: [] },
  cgroup: { path: '/c', made: [], own: true }, ledger: ['cgroup'],
} as unknown as SandboxRecord;

const container = {
  version: 1, id: 'c', sandboxId: 's', name: 'n', phase: 'creating', bootId: 'b', imageId: 'i', cgroupPath: '/c',
  config: { metadata: { name: 'main', attempt: 0 }, labels: {}, mounts: [] }, createdAt: '17', startedAt: '0', finishedAt: '0', ledger: [],
} as unknown as ContainerRecord;

test('a sandbox goes the ways of the diagram and no other', () => {
  const phases: SandboxPhase[] = ['creating', 'ready', 'stopped'];
  const allowed = new Set(['creating ready', 'creating stopped', 'ready stopped', 'stopped stopped']);
  for (const from of phases) {
    for (const to of phases) {
      const go = () => sandboxTo({ ...sandbox, phase: from }, to, { ips: ['10.0.0.1'] });
      if (allowed.has(`${from} ${to}`)) expect(go()).toEqual({ ...sandbox, phase: to, ips: ['10.0.0.1'] });
      else expect(go).toThrow(`cannot go from ${from} to ${to}`);
    }
  }
});

test('a container goes the ways of the diagram and no other', () => {
  const phases: ContainerPhase[] = ['creating', 'created', 'running', 'exited'];
  const allowed = new Set(['creating created', 'created running', 'creating exited', 'created exited', 'running exited']);
  for (const from of phases) {
    for (const to of phases) {
      const go = () => containerTo({ ...container, phase: from }, to, { pid: 7 });
      if (allowed.has(`${from} ${to}`)) expect(go()).toEqual({ ...container, phase: to, pid: 7 });
      else expect(go).toThrow(`cannot go from ${from} to ${to}`);
    }
  }
});

test('a record comes back from JSON as it was', () => {
  expect(parseSandboxRecord(JSON.parse(JSON.stringify(sandbox)))).toEqual(sandbox);
  expect(parseContainerRecord(JSON.parse(JSON.stringify(container)))).toEqual(container);
});

const wrong = [null, 7, [], {}, { version: 2 }];

test.each([
  ...wrong, { ...sandbox, phase: 'toString' }, { ...sandbox, createdAt: undefined }, { ...sandbox, createdAt: '-1' }, { ...sandbox, name: 3 },
  { ...sandbox, cgroup: { path: '/c' } }, { ...sandbox, config: { ...sandbox.config, labels: undefined } }, { ...sandbox, ledger: {} },
])('%j is no sandbox', (value) => {
  expect(() => parseSandboxRecord(value)).toThrow('not a sandbox record');
});

test.each([
  ...wrong, { ...container, phase: 'constructor' }, { ...container, startedAt: 'now' }, { ...container, cgroupPath: undefined },
  { ...container, config: null }, { ...container, config: { metadata: null } },
])('%j is no container', (value) => {
  expect(() => parseContainerRecord(value)).toThrow('not a container record');
});

test('a sandbox is named by name, namespace, uid and attempt', () => {
  expect(sandboxName(sandbox.config)).toBe('web_shop_u_2');
});
