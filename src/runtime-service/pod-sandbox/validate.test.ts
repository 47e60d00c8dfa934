import { expect, test } from 'vitest';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import { namespaces, podConfig, podLinux, podSecurity, resources } from '../testing/requests.ts';
import { formatResolvConf } from './files.ts';
import { namespaceOptions, validateSandbox } from './validate.ts';

const metadata = { name: 'web', namespace: 'shop', uid: 'u', attempt: 0 };
const port = (changes = {}) => ({ protocol: 'TCP' as const, container_port: 80, host_port: 8080, host_ip: '', ...changes });
const dns = (changes = {}) => ({ servers: [], searches: [], options: [], ...changes });
const options = (changes: Parameters<typeof namespaces>[0], linux: Parameters<typeof podLinux>[0] = {}) =>
  podConfig({ linux: podLinux({ security_context: podSecurity({ namespace_options: namespaces(changes) }), ...linux }) });
const sysctls = (given: Record<string, string>, changes: Parameters<typeof namespaces>[0] = {}) => options(changes, { sysctls: given });

test.each<[string, PodSandboxConfig__Output]>([
  ['the least', podConfig({ hostname: '', log_directory: '', labels: {} })],
  ['a hostname of 64 bytes', podConfig({ hostname: 'x'.repeat(64) })],
  ['ports', podConfig({ port_mappings: [port(), port({ host_port: 0, container_port: 65535 }), port({ protocol: 'SCTP', host_ip: '127.0.0.1' }), port({ host_ip: '::1' })] })],
  ['DNS', podConfig({ dns_config: dns({ servers: ['::1', '10.0.0.1'], searches: ['a.b', '.'], options: ['ndots:5'] }) })],
  ['namespaces of the node', options({ network: 'NODE', ipc: 'NODE', pid: 'NODE' })],
  ['user namespace of the node', options({ userns_options: { mode: 'NODE', uids: [], gids: [] } })],
  ['sysctls', sysctls({ 'net.ipv4.ip_forward': '1', 'net/ipv4/conf/eth0.1/forwarding': '1', 'kernel.shmmax': '5', 'kernel.sem': '1 2 3 4', 'fs.mqueue.msg_max': '9' })],
  ['a cgroup parent', podConfig({ linux: podLinux({ cgroup_parent: '/kubepods/burstable/pod1' }) })],
])('%s is accepted', (_, config) => {
  expect(validateSandbox(config, '', 'cgroupfs')).toBe(config);
  expect(validateSandbox(config, 'berth', 'cgroupfs')).toBe(config);
});

test.each<[string, PodSandboxConfig__Output]>([
  ['config.metadata', podConfig({ metadata: null })],
  ['config.metadata.name', podConfig({ metadata: { ...metadata, name: '' } })],
  ['config.metadata.namespace', podConfig({ metadata: { ...metadata, namespace: '' } })],
  ['config.metadata.uid', podConfig({ metadata: { ...metadata, uid: '' } })],
  ['config.hostname', podConfig({ hostname: 'é'.repeat(33) })],
  ['config.hostname', podConfig({ hostname: 'a\nb' })],
  ['config.hostname', podConfig({ hostname: '../x' })],
  ['config.log_directory', podConfig({ log_directory: 'relative' })],
  ['config.port_mappings[1].host_port', podConfig({ port_mappings: [port(), port({ host_port: 65536 })] })],
  ['config.port_mappings[0].container_port', podConfig({ port_mappings: [port({ container_port: -1 })] })],
  ['config.port_mappings[0].container_port', podConfig({ port_mappings: [port({ container_port: 0 })] })],
  ['config.port_mappings[0].host_ip', podConfig({ port_mappings: [port({ host_ip: '1.2.3' })] })],
  ['config.port_mappings[0].host_ip', podConfig({ port_mappings: [port({ host_ip: 'localhost' })] })],
  ['config.dns_config.servers[0]', podConfig({ dns_config: dns({ servers: ['1.1.1.1\nnameserver 6.6.6.6'] }) })],
  ['config.dns_config.searches[0]', podConfig({ dns_config: dns({ searches: ['a b'] }) })],
  ['config.dns_config.options[0]', podConfig({ dns_config: dns({ options: [''] }) })],
  ['namespace_options.network', options({ network: 'CONTAINER' })],
  ['namespace_options.ipc', options({ ipc: 'TARGET' })],
  ['namespace_options.pid', options({ pid: 'TARGET' })],
  ['sysctls["kernel.panic"]', sysctls({ 'kernel.panic': '1' })],
  ['sysctls["vm.swappiness"]', sysctls({ 'vm.swappiness': '1' })],
  ['sysctls["net.ipv4.x"]', sysctls({ 'net.ipv4.x': '1\nkernel.panic=1' })],
  ['sysctls["net.ipv4/../../kernel/panic"]', sysctls({ 'net.ipv4/../../kernel/panic': '1' })],
  ['sysctls["net..x"]', sysctls({ 'net..x': '1' })],
  ['sysctls["/net/x"]', sysctls({ '/net/x': '1' })],
  ['sysctls["net"]', sysctls({ net: '1' })],
  ['sysctls["kernel.shmmax"]', sysctls({ 'kernel.shmmax': '1' }, { ipc: 'NODE' })],
  ['sysctls["net.ipv4.ip_forward"]', sysctls({ 'net.ipv4.ip_forward': '1' }, { network: 'NODE' })],
  ['config.linux.cgroup_parent', podConfig({ linux: podLinux({ cgroup_parent: '/a/../../b' }) })],
  ['config.linux.cgroup_parent', podConfig({ linux: podLinux({ cgroup_parent: 'kubepods.slice' }) })],
  ['config.linux.overhead.cpu_shares', podConfig({ linux: podLinux({ overhead: resources({ cpu_shares: '-1' }) }) })],
  ['config.linux.resources.cpu_period', podConfig({ linux: podLinux({ resources: resources({ cpu_period: '1' }) }) })],
])('%s is refused by its name', (field, config) => {
  expect(() => validateSandbox(config, '', 'cgroupfs')).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(`${field}: `) as string }));
});

test('no configuration, an unknown handler and a user namespace without maps are refused', () => {
  expect(() => validateSandbox(null, '', 'cgroupfs')).toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
  expect(() => validateSandbox(podConfig(), 'kata', 'cgroupfs')).toThrow(expect.objectContaining({ code: 'UNKNOWN_HANDLER' }));
  expect(() => validateSandbox(options({ userns_options: { mode: 'POD', uids: [], gids: [] } }), '', 'cgroupfs')).toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
});

test('absent namespace options are the pod\'s own', () => {
  expect(namespaceOptions(podConfig())).toEqual({ network: 'POD', pid: 'POD', ipc: 'POD', userns_options: null });
});

test('resolv.conf has what was given and no empty lines', () => {
  expect(formatResolvConf(dns({ servers: ['1.1.1.1', '::1'], searches: ['a', 'b'], options: ['x', 'y:1'] }))).toBe('search a b\nnameserver 1.1.1.1\nnameserver ::1\noptions x y:1\n');
  expect(formatResolvConf(dns({ searches: ['a'] }))).toBe('search a\n');
});
