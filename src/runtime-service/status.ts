import { describeMissing } from '../cgroup/hierarchy.ts';
import type { RuntimeHandlers } from '../cri-server/handlers.ts';
import { runtimeHandlers } from './runtime.ts';
import type { Runtime } from './runtime.ts';

/** Status: the two conditions that the kubelet asks for, the handlers, and what this node can do. */
export function status(runtime: Runtime): RuntimeHandlers['Status'] {
  return async (request) => {
    const network = runtime.network.status();
    const missing = describeMissing(runtime.cgroups.hierarchy);
    return {
      status: {
        conditions: [
          { type: 'RuntimeReady', status: true, reason: missing === '' ? '' : 'LimitsNotEnforced', message: missing },
          { type: 'NetworkReady', status: network.ready, reason: network.reason, message: network.message },
        ],
      },
      runtime_handlers: runtimeHandlers.map((name) => ({
        name,
        // Kernels that cannot make whole trees read-only (before 5.12) cannot run Berth's shim at all.
        features: { recursive_read_only_mounts: true, user_namespaces: runtime.userNamespaces },
      })),
      features: { supplemental_groups_policy: true, user_namespaces_host_network: runtime.userNamespaces, mount_options: true },
      info: request.verbose ? verboseInfo(runtime) : {},
    };
  };
}

function verboseInfo(runtime: Runtime): Record<string, string> {
  const { config, cgroups } = runtime;
  const { mountPoint, controllers, missing } = cgroups.hierarchy;
  return {
    // `stateDir` and `rootDir` are the names under which clients look for these, as containerd gives them.
    config: JSON.stringify({ ...config, stateDir: config.state, rootDir: config.root }),
    cgroup: JSON.stringify({ driver: cgroups.driver, mountPoint, controllers: [...controllers], missing }),
    network: JSON.stringify(runtime.network.describe()),
    security: JSON.stringify({ seccomp: true, appArmor: runtime.confinement.appArmor.enabled }),
    objects: JSON.stringify({ sandboxes: runtime.sandboxes.size, containers: runtime.containers.size }),
  };
}
