import { expect, test } from 'vitest';

import { capabilityValues, runtimeConfigFor } from './runtime-config.ts';
import { podRequest } from './testing/fixture.ts';

test('each capability has its documented shape, and a plugin gets those it declares', () => {
  const request = podRequest({
    portMappings: [{ protocol: 'udp', containerPort: 53, hostPort: 5353, hostIp: '127.0.0.1' }],
    annotations: { 'kubernetes.io/ingress-bandwidth': '1M', 'kubernetes.io/egress-bandwidth': '2Ki', note: 'x' },
    cgroupPath: '/sys/fs/cgroup/pod',
    dns: { servers: ['10.0.0.10'], searches: ['svc'], options: ['ndots:5'] },
  });
  const values = capabilityValues(request, ['10.1.0.0/24']);
  expect(values).toEqual({
    portMappings: [{ hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '127.0.0.1' }],
    dns: { servers: ['10.0.0.10'], searches: ['svc'], options: ['ndots:5'] },
    ipRanges: [[{ subnet: '10.1.0.0/24' }]],
    cgroupPath: '/sys/fs/cgroup/pod',
    bandwidth: { ingressRate: 1_000_000, ingressBurst: 4294967295, egressRate: 2048, egressBurst: 4294967295 },
    'io.kubernetes.cri.pod-annotations': request.annotations,
  });
  expect(runtimeConfigFor(['dns', 'mac'], values)).toEqual({ dns: values['dns'] });
  expect(runtimeConfigFor(['mac'], values)).toBeUndefined();
});

test('what a pod does not ask for is left out', () => {
  expect(capabilityValues(podRequest(), [])).toEqual({ 'io.kubernetes.cri.pod-annotations': {} });
});

test.each(['', '1 M', 'fast', '999', '2P', '-1M', '1e99'])('bandwidth %j is refused with its field', (text) => {
  const request = podRequest({ annotations: { 'kubernetes.io/egress-bandwidth': text } });
  expect(() => capabilityValues(request, [])).toThrow(/^config\.annotations\[kubernetes\.io\/egress-bandwidth\]: /);
});
