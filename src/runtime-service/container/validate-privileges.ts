import type { LinuxContainerSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import type { Mount__Output } from '../../cri-server/generated/runtime/v1/Mount.ts';
import { invalidField } from '../../errors/catalogue.ts';
import { pathProblem } from '../bundle/container-path.ts';

/** Longest name of an account that the shim looks up, in bytes. */
const maxName = 255;

/** The most supplementary groups that a container's user may have; one more is its primary group. */
const maxGroups = 255;

/** Throws INVALID_FIELD for names, lists and paths that no container can have. */
export function validatePrivileges(security: LinuxContainerSecurityContext__Output, field: string): void {
  if (Buffer.byteLength(security.run_as_username) > maxName) throw invalidField(`${field}.run_as_username`, `is longer than ${maxName} bytes`);
  const groups = new Set(security.supplemental_groups).size;
  if (groups > maxGroups) throw invalidField(`${field}.supplemental_groups`, `${groups} groups are more than ${maxGroups}`);
  for (const list of ['masked_paths', 'readonly_paths'] as const) {
    for (const [index, path] of security[list].entries()) {
      const problem = pathProblem(path);
      if (problem !== undefined) throw invalidField(`${field}.${list}[${index}]`, problem);
    }
  }
}

/** Throws INVALID_FIELD for paths of mounts that no file system takes; whether there is one at all is seen later. */
export function validateMountPaths(mounts: readonly Mount__Output[]): void {
  for (const [index, mount] of mounts.entries()) {
    for (const path of ['container_path', 'host_path'] as const) {
      const problem = mount[path].startsWith('/') ? pathProblem(mount[path]) : undefined;
      if (problem !== undefined) throw invalidField(`config.mounts[${index}].${path}`, problem);
    }
  }
}
