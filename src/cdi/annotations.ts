import type { DeviceRequest } from './catalogue.ts';

/** Annotations of containers by which device plugins asked for CDI devices before the CRI had a field for it. */
const prefix = 'cdi.k8s.io/';

/** The devices that annotations name, each value a list with commas; `field` is the annotations' own. */
export function annotatedDevices(annotations: Readonly<Record<string, string>>, field: string): DeviceRequest[] {
  return Object.entries(annotations)
    .filter(([key]) => key.startsWith(prefix))
    .flatMap(([key, value]) => value.split(',').map((name) => ({ name, field: `${field}[${JSON.stringify(key)}]` })));
}
