import type { ContainerConfig__Output } from '../../cri-server/generated/runtime/v1/ContainerConfig.ts';
import { cgroupWrites } from '../../cgroup/limits.ts';
import { validateOomScore } from '../../cgroup/oom-score.ts';
import { invalidField } from '../../errors/catalogue.ts';
import type { StoredContainerConfig } from '../../state/container.ts';
import { validateMountPaths, validatePrivileges } from './validate-privileges.ts';

/**
 * Checks a container's configuration before anything is changed; the parts that become the OCI bundle
 * are checked where they are converted, which is before anything is changed too. Throws INVALID_FIELD,
 * or NOT_IMPLEMENTED for what is not there yet: nothing is ignored.
 */
export function validateContainer(config: ContainerConfig__Output | null): StoredContainerConfig {
  if (config === null) throw invalidField('config', 'is missing');
  if (config.metadata === null || config.metadata.name === '') throw invalidField('config.metadata.name', 'is empty');
  if (config.image === null || config.image.image === '') throw invalidField('config.image.image', 'is empty');
  validateLogPath(config.log_path);
  validateMountPaths(config.mounts);
  validateSecurity(config);
  cgroupWrites(config.linux?.resources ?? null, 'config.linux.resources');
  validateOomScore(config.linux?.resources?.oom_score_adj ?? '0', 'config.linux.resources.oom_score_adj');
  return { ...config, envs: textEnvironment(config) };
}

/** log_path is relative to the sandbox's log directory and stays below it. */
function validateLogPath(path: string): void {
  if (path.startsWith('/') || path.split('/').includes('..')) {
    throw invalidField('config.log_path', `"${path}" is not a path below the sandbox's log directory`);
  }
}

function validateSecurity(config: ContainerConfig__Output): void {
  const security = config.linux?.security_context ?? null;
  if (security === null) return;
  const field = 'config.linux.security_context';
  validatePrivileges(security, field);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Values are bytes on the wire, but a container's environment travels as text in the OCI bundle. */
function textEnvironment(config: ContainerConfig__Output): StoredContainerConfig['envs'] {
  return config.envs.map(({ key, value }, index) => {
    const field = `config.envs[${index}]`;
    if (key === '' || key.includes('=')) throw invalidField(`${field}.key`, `"${key}" is not a variable's name`);
    let text: string;
    try {
      text = utf8.decode(value);
    } catch {
      throw invalidField(`${field}.value`, 'is not UTF-8');
    }
    if (text.includes('\0')) throw invalidField(`${field}.value`, 'holds a NUL byte');
    return { key, value: text };
  });
}
