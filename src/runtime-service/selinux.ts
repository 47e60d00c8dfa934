import { existsSync } from 'node:fs';
import type { Logger } from 'pino';
import type { SELinuxOption__Output } from '../cri-server/generated/runtime/v1/SELinuxOption.ts';
import { BerthError, invalidField } from '../errors/catalogue.ts';

/** Parts of a security context as setcon(3) takes them; colons separate the parts. */
const partPattern = /^[A-Za-z0-9_.$-]*$/;
const levelPattern = /^[A-Za-z0-9_.,:-]*$/;

/** The file is there as soon as the kernel enforces, or would enforce, a policy. */
export function hasSelinux(): boolean {
  return existsSync('/sys/fs/selinux/enforce');
}

/**
 * Berth gives no SELinux labels. Where there is no SELinux, options for it mean nothing and are noted in the log; where
 * there is, a container would run with another label than asked for, and is refused. Throws INVALID_FIELD for
 * options that are no label, NOT_IMPLEMENTED for those that cannot be honoured.
 */
export function checkSelinuxOptions(options: SELinuxOption__Output | null, field: string, enabled: boolean, log: Logger): void {
  if (options === null) return;
  for (const part of ['user', 'role', 'type', 'level'] as const) {
    const pattern = part === 'level' ? levelPattern : partPattern;
    if (!pattern.test(options[part]) || options[part].length > 255) throw invalidField(`${field}.${part}`, `"${options[part].slice(0, 64)}" is no part of an SELinux label`);
  }
  if (Object.values(options).every((part) => part === '')) return;
  if (enabled) throw new BerthError('NOT_IMPLEMENTED', `${field}: SELinux labels are not there yet, and SELinux is on`);
  log.info({ field }, 'SELinux is off: its options have no effect');
}

/** The kubelet asks for new labels for nearly every volume, whatever the node: where labels mean something, that is noted. */
export function noteRelabels(mounts: readonly { readonly selinux_relabel: boolean }[], enabled: boolean, log: Logger): void {
  const count = mounts.filter((mount) => mount.selinux_relabel).length;
  if (enabled && count > 0) log.warn({ count }, 'config.mounts: selinux_relabel has no effect: Berth gives no SELinux labels');
}
