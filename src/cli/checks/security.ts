/** Security modules and filters. */
import { access, readFile } from 'node:fs/promises';
import { optional, type Check } from './check.ts';

export async function securityChecks(): Promise<Check[]> {
  const [actions, apparmor, selinux, modules] = await Promise.all([
    text('/proc/sys/kernel/seccomp/actions_avail'),
    text('/sys/module/apparmor/parameters/enabled'),
    access('/sys/fs/selinux/enforce').then(() => true, () => false),
    text('/sys/kernel/security/lsm'),
  ]);
  const apparmorOn = apparmor === 'Y';
  const found = modules === '' ? 'off' : `off; modules: ${modules}`;
  return [
    optional({ area: 'security', name: 'seccomp', found: actions === '' ? 'off' : 'on' }, actions !== '', 'system calls are not filtered; RuntimeDefault profiles are refused'),
    optional({ area: 'security', name: 'AppArmor', found: apparmorOn ? 'on' : found }, apparmorOn, 'pods that ask for a profile are refused'),
    optional({ area: 'security', name: 'SELinux', found: selinux ? 'on' : found }, selinux, 'SELinux options have no effect'),
  ];
}

async function text(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim();
}
