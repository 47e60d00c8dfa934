import { invalidField } from '../errors/catalogue.ts';
import type { PodNetworkRequest } from './pod-network.ts';

/** The only interface Berth asks a network for; `lo` comes up with the namespace. */
export const interfaceName = 'eth0';

/** CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS and CNI_ARGS. An empty path means that the namespace is gone. */
export function attachmentEnvironment(request: PodNetworkRequest, netnsPath: string): Readonly<Record<string, string>> {
  return {
    CNI_CONTAINERID: request.sandboxId,
    CNI_IFNAME: interfaceName,
    CNI_NETNS: netnsPath,
    CNI_ARGS: podArguments(request),
  };
}

export function podName(request: PodNetworkRequest): string {
  return `${request.podNamespace}/${request.podName}`;
}

function podArguments(request: PodNetworkRequest): string {
  const pairs: readonly (readonly [string, string, string])[] = [
    ['K8S_POD_NAMESPACE', request.podNamespace, 'config.metadata.namespace'],
    ['K8S_POD_NAME', request.podName, 'config.metadata.name'],
    ['K8S_POD_INFRA_CONTAINER_ID', request.sandboxId, 'pod_sandbox_id'],
    ['K8S_POD_UID', request.podUid, 'config.metadata.uid'],
  ];
  return ['IgnoreUnknown=1', ...pairs.map(([key, value, field]) => `${key}=${plainValue(value, field)}`)].join(';');
}

/** CNI_ARGS has no quoting: a `;` or `=` would let a pod's name set another argument. */
function plainValue(value: string, field: string): string {
  if (/[;=\0]/.test(value)) throw invalidField(field, `${JSON.stringify(value)} must not contain ";" or "="`);
  return value;
}
