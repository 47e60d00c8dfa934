import { version } from '../config/version.ts';
import type { RuntimeHandlers } from '../cri-server/handlers.ts';

/** Version. `version` is the kubelet's runtime API version, a constant that every peer gives. */
export function runtimeVersion(): RuntimeHandlers['Version'] {
  return async () => ({
    version: '0.1.0',
    runtime_name: 'berth',
    runtime_version: version,
    runtime_api_version: 'v1',
  });
}
