/** What confines a container beside its namespaces and capabilities: a seccomp filter and an AppArmor profile. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { LinuxSandboxSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxSandboxSecurityContext.ts';
import type { StoredContainerConfig } from '../../state/container.ts';
import { capabilitySets } from '../bundle/capabilities.ts';
import { openAppArmor } from './apparmor.ts';
import type { AppArmor } from './apparmor.ts';
import { appArmorChoice, seccompChoice } from './profile-choice.ts';
import { openSeccompFilters } from './seccomp-filters.ts';
import type { SeccompFilters } from './seccomp-filters.ts';

export interface Confinement {
  readonly seccomp: SeccompFilters;
  readonly appArmor: AppArmor;
}

export interface ConfinementOptions {
  /** berth-seccomp. */
  readonly compiler: string;
  /** The compiled default AppArmor profile. */
  readonly policy: string;
  /** berthd's state directory. */
  readonly state: string;
  readonly log: Logger;
}

export async function openConfinement({ compiler, policy, state, log }: ConfinementOptions): Promise<Confinement> {
  const [seccomp, appArmor] = await Promise.all([
    openSeccompFilters({ program: compiler, directory: join(state, 'seccomp') }),
    openAppArmor({ policy, log }),
  ]);
  return { seccomp, appArmor };
}

export interface ContainerConfinement {
  /** A file that the shim loads; empty for no filter. */
  readonly seccompFilter: string;
  /** Empty for none. */
  readonly appArmorProfile: string;
}

const field = 'config.linux.security_context';

/** Throws INVALID_FIELD or HOST_UNSUITABLE; changes nothing but the cache of filters. */
export async function containerConfinement(
  { seccomp, appArmor }: Confinement,
  config: StoredContainerConfig,
  grantable: ReadonlySet<string>,
): Promise<ContainerConfinement> {
  const security = config.linux?.security_context ?? null;
  const { bounding } = capabilitySets(security?.capabilities ?? null, security?.privileged ?? false, grantable, `${field}.capabilities`);
  const [filter, profile] = await Promise.all([
    seccomp.filter(seccompChoice(security, field), bounding),
    appArmor.profile(appArmorChoice(security, field)),
  ]);
  return { seccompFilter: filter ?? '', appArmorProfile: profile ?? '' };
}

/**
 * A pod's own profiles are for its own process. A Berth sandbox has none, or the init of a shared PID namespace, which
 * is confined more than any profile does it: the fields must make sense, and confine nothing.
 */
export function validateSandboxProfiles(security: LinuxSandboxSecurityContext__Output | null): void {
  seccompChoice(security, field);
  appArmorChoice(security, field);
}
