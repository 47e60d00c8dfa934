/** What a request's seccomp and AppArmor fields ask for, the deprecated ones included. */
import type { LinuxContainerSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import type { LinuxSandboxSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxSandboxSecurityContext.ts';
import type { SecurityProfile__Output } from '../../cri-server/generated/runtime/v1/SecurityProfile.ts';
import { invalidField } from '../../errors/catalogue.ts';

export type ProfileChoice =
  | { readonly kind: 'unconfined' }
  | { readonly kind: 'default' }
  /** seccomp: an absolute path; AppArmor: a profile's name. `field` is where it came from. */
  | { readonly kind: 'localhost'; readonly name: string; readonly field: string };

const localhost = 'localhost/';

type SeccompFields = Pick<LinuxSandboxSecurityContext__Output, 'seccomp' | 'seccomp_profile_path' | 'privileged'>;

/**
 * A request without a word on it is unconfined, and so is a privileged container: "Seccomp restrictions are not
 * applied" (CRI, LinuxContainerSecurityContext.privileged). `seccomp` counts before the deprecated
 * `seccomp_profile_path`, which kubelets fill in beside it. Throws INVALID_FIELD.
 */
export function seccompChoice(security: SeccompFields | null, parent: string): ProfileChoice {
  if (security === null) return { kind: 'unconfined' };
  const choice = security.seccomp === null
    ? deprecatedSeccomp(security.seccomp_profile_path, `${parent}.seccomp_profile_path`)
    : newChoice(security.seccomp, `${parent}.seccomp`);
  if (choice.kind === 'localhost' && !choice.name.startsWith('/')) {
    throw invalidField(choice.field, `"${choice.name}" is not the absolute path of a profile`);
  }
  return security.privileged ? { kind: 'unconfined' } : choice;
}

/** "runtime/default", "unconfined" (also as ""), "localhost/<full-path-to-profile>"; "docker/default" of old. */
function deprecatedSeccomp(text: string, field: string): ProfileChoice {
  if (text === '' || text === 'unconfined') return { kind: 'unconfined' };
  if (text === 'runtime/default' || text === 'docker/default') return { kind: 'default' };
  if (text.startsWith(localhost)) return { kind: 'localhost', name: withOneSlash(text.slice(localhost.length)), field };
  throw invalidField(field, `"${text}" is not runtime/default, unconfined or localhost/ with the path of a profile`);
}

/** "localhost/" and a full path make "localhost//path". */
function withOneSlash(path: string): string {
  return path.replace(/^\/+/, '/');
}

type AppArmorFields = Pick<LinuxContainerSecurityContext__Output, 'apparmor' | 'apparmor_profile' | 'privileged'>;

/**
 * A request without a word on it gets the default profile, a privileged container none unless it names one.
 * `apparmor` counts before the deprecated `apparmor_profile`. Throws INVALID_FIELD.
 */
export function appArmorChoice(security: Pick<AppArmorFields, 'apparmor' | 'privileged'> & Partial<AppArmorFields> | null, parent: string): ProfileChoice {
  if (security === null) return { kind: 'default' };
  const choice = security.apparmor === null
    ? deprecatedAppArmor(security.apparmor_profile ?? '', `${parent}.apparmor_profile`)
    : newChoice(security.apparmor, `${parent}.apparmor`);
  if (choice.kind === 'localhost') return checkedName(choice);
  return security.privileged ? { kind: 'unconfined' } : choice;
}

/** "runtime/default" (also as ""), "unconfined", "localhost/<profile name>". */
function deprecatedAppArmor(text: string, field: string): ProfileChoice {
  if (text === '' || text === 'runtime/default') return { kind: 'default' };
  if (text === 'unconfined') return { kind: 'unconfined' };
  if (text.startsWith(localhost)) return { kind: 'localhost', name: text, field };
  throw invalidField(field, `"${text}" is not runtime/default, unconfined or localhost/ with the name of a profile`);
}

/** Kubelets write the name with and without "localhost/" before it. */
function checkedName(choice: Extract<ProfileChoice, { kind: 'localhost' }>): ProfileChoice {
  const name = choice.name.startsWith(localhost) ? choice.name.slice(localhost.length) : choice.name;
  if (name === '' || name.length > 512 || /[\s\p{Cc}]/u.test(name)) throw invalidField(choice.field, `"${name}" is not the name of a profile`);
  return { ...choice, name };
}

function newChoice(profile: SecurityProfile__Output, field: string): ProfileChoice {
  const ref = profile.localhost_ref;
  if (profile.profile_type === 'Localhost') {
    if (ref === '') throw invalidField(`${field}.localhost_ref`, 'is empty, but profile_type is Localhost');
    return { kind: 'localhost', name: ref, field: `${field}.localhost_ref` };
  }
  if (ref !== '') throw invalidField(`${field}.localhost_ref`, `must be empty: profile_type is ${profile.profile_type}`);
  return profile.profile_type === 'Unconfined' ? { kind: 'unconfined' } : { kind: 'default' };
}
