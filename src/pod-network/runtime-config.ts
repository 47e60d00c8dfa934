import { invalidField } from '../errors/catalogue.ts';
import type { JsonRecord } from './json-record.ts';
import type { PodNetworkRequest } from './pod-network.ts';
import { parseQuantity } from './quantity.ts';

/** Capability name → value, as the CNI conventions and the field's other runtimes name them. */
export type CapabilityValues = JsonRecord;

/** No burst limit worth the name, in bits: the bandwidth plugin rejects 4 GiB and more. */
const unlimitedBurst = 2 ** 32 - 1;

/** Bits a second; the range that Kubernetes itself enforces on these annotations. */
const smallestRate = 1_000n;
const largestRate = 1_000_000_000_000_000n;

/** Everything a plugin could ask for by a capability; what is empty is left out. */
export function capabilityValues(request: PodNetworkRequest, podCidrs: readonly string[]): CapabilityValues {
  const values: Record<string, unknown> = { 'io.kubernetes.cri.pod-annotations': request.annotations };
  if (request.portMappings.length > 0) {
    values['portMappings'] = request.portMappings.map((mapping) => ({
      hostPort: mapping.hostPort,
      containerPort: mapping.containerPort,
      protocol: mapping.protocol,
      hostIP: mapping.hostIp,
    }));
  }
  const { servers, searches, options } = request.dns;
  if (servers.length + searches.length + options.length > 0) values['dns'] = { servers, searches, options };
  if (podCidrs.length > 0) values['ipRanges'] = podCidrs.map((subnet) => [{ subnet }]);
  if (request.cgroupPath !== '') values['cgroupPath'] = request.cgroupPath;
  const bandwidth = bandwidthLimits(request.annotations);
  if (bandwidth !== undefined) values['bandwidth'] = bandwidth;
  return values;
}

/** The `runtimeConfig` for one plugin: the capabilities it declares and that have a value. */
export function runtimeConfigFor(declared: readonly string[], values: CapabilityValues): JsonRecord | undefined {
  const wanted = declared.filter((name) => values[name] !== undefined);
  if (wanted.length === 0) return undefined;
  return Object.fromEntries(wanted.map((name) => [name, values[name]]));
}

function bandwidthLimits(annotations: Readonly<Record<string, string>>): JsonRecord | undefined {
  const ingress = rate(annotations, 'kubernetes.io/ingress-bandwidth');
  const egress = rate(annotations, 'kubernetes.io/egress-bandwidth');
  if (ingress === undefined && egress === undefined) return undefined;
  return {
    ...(ingress === undefined ? {} : { ingressRate: ingress, ingressBurst: unlimitedBurst }),
    ...(egress === undefined ? {} : { egressRate: egress, egressBurst: unlimitedBurst }),
  };
}

function rate(annotations: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = annotations[name];
  if (text === undefined) return undefined;
  const value = parseQuantity(text);
  if (value === undefined || value < smallestRate || value > largestRate) {
    throw invalidField(`config.annotations[${name}]`, `${JSON.stringify(text)} is not a rate from 1k to 1P bits a second`);
  }
  return Number(value);
}
