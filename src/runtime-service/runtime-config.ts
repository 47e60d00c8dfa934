import type { RuntimeHandlers } from '../cri-server/handlers.ts';
import type { Runtime } from './runtime.ts';

/** RuntimeConfig: the cgroup driver that the kubelet must share. */
export function runtimeConfig(runtime: Runtime): RuntimeHandlers['RuntimeConfig'] {
  return async () => ({ linux: { cgroup_driver: runtime.cgroups.driver === 'systemd' ? 'SYSTEMD' : 'CGROUPFS' } });
}

/** UpdateRuntimeConfig: the node's pod CIDR, for networks that take their ranges from it. */
export function updateRuntimeConfig(runtime: Runtime): RuntimeHandlers['UpdateRuntimeConfig'] {
  return async (request) => {
    await runtime.network.setPodCidr(request.runtime_config?.network_config?.pod_cidr ?? '');
    return {};
  };
}
