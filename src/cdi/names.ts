/** Names of CDI devices: "vendor/class=device" (Container Device Interface specification, "Kind" and "Device"). */

export interface DeviceName {
  /** "vendor/class". */
  readonly kind: string;
  readonly device: string;
}

/** Vendor and class: a letter, then letters, digits, "_", "-" and ".", the last of them a letter or digit. */
const kindPart = /^[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/;

const devicePart = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;

export function isKind(text: string): boolean {
  const [vendor = '', name = '', ...rest] = text.split('/');
  return rest.length === 0 && kindPart.test(vendor) && kindPart.test(name);
}

export function isDeviceName(text: string): boolean {
  return devicePart.test(text);
}

/** Takes a qualified name apart; undefined when it is none. */
export function parseDeviceName(text: string): DeviceName | undefined {
  const at = text.indexOf('=');
  const [kind, device] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
  return isKind(kind) && isDeviceName(device) ? { kind, device } : undefined;
}
