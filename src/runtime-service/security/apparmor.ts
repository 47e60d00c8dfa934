/** AppArmor: whether this node has it, which profiles are loaded, and the loading of Berth's own. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import type { ProfileChoice } from './profile-choice.ts';

/** The name in native/apparmor/berth-default. */
export const defaultAppArmorProfile = 'berth-default';

/** What the kernel shows of AppArmor; a test has directories of its own. */
export interface AppArmorPaths {
  /** "Y" where it is on. */
  readonly enabled: string;
  /** In securityfs. */
  readonly directory: string;
}

const kernelPaths: AppArmorPaths = { enabled: '/sys/module/apparmor/parameters/enabled', directory: '/sys/kernel/security/apparmor' };

export interface AppArmor {
  readonly enabled: boolean;
  /**
   * The profile to run under; undefined for none. The default profile is none on a node without AppArmor. Throws
   * INVALID_FIELD for one that is not loaded, or on a node without AppArmor; HOST_UNSUITABLE when the kernel has
   * AppArmor but does not take Berth's profile.
   */
  profile(choice: ProfileChoice): Promise<string | undefined>;
}

/**
 * `policy` is the compiled default profile. It is loaded now, in place of one that an older version left; when that
 * fails, it is tried again for every container that asks for it.
 */
export async function openAppArmor(options: { readonly policy: string; readonly log: Logger; readonly paths?: AppArmorPaths }): Promise<AppArmor> {
  const { enabled: switchFile, directory } = options.paths ?? kernelPaths;
  const enabled = (await readFile(switchFile, 'utf8').catch(() => 'N')).startsWith('Y');
  const load = async (): Promise<void> => {
    try {
      await writeFile(join(directory, '.replace'), await readFile(options.policy), { flag: 'r+' });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new BerthError('HOST_UNSUITABLE', `AppArmor profile ${defaultAppArmorProfile} cannot be loaded: ${reason}`, { cause });
    }
  };
  if (enabled) await load().catch((err: unknown) => options.log.error({ err }, 'containers that ask for the default AppArmor profile will be refused'));

  const isLoaded = async (name: string): Promise<boolean> => {
    const list = await readFile(join(directory, 'profiles'), 'utf8').catch((cause: unknown) => {
      throw new BerthError('HOST_UNSUITABLE', `AppArmor's list of profiles cannot be read; is securityfs mounted? ${String(cause)}`, { cause });
    });
    // "name (enforce)"; a name may hold spaces.
    return list.split('\n').some((line) => line.replace(/ \([a-z]+\)$/, '') === name);
  };

  return {
    enabled,
    async profile(choice) {
      if (choice.kind === 'unconfined') return undefined;
      if (choice.kind === 'localhost') {
        if (!enabled) throw invalidField(choice.field, `AppArmor profile "${choice.name}" cannot be used: this node has no AppArmor`);
        if (choice.name === 'unconfined') return undefined;
        if (!(await isLoaded(choice.name))) throw invalidField(choice.field, `AppArmor profile "${choice.name}" is not loaded on this node`);
        return choice.name;
      }
      if (!enabled) return undefined;
      if (!(await isLoaded(defaultAppArmorProfile))) await load();
      return defaultAppArmorProfile;
    },
  };
}
