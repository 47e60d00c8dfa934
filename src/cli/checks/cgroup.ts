/** cgroup v2 and the controllers that limits need. */
import type { CgroupDriver } from '../../cgroup/choose-driver.ts';
import { neededControllers, readCgroupHierarchy, type CgroupHierarchy } from '../../cgroup/hierarchy.ts';
import { driverChecks } from './cgroup-driver.ts';
import { essential, optional, type Check } from './check.ts';

/** `allowMissing`: the operator has said that limits need not be enforced. `driver` is the setting. */
export async function cgroupChecks(allowMissing: boolean, driver: 'auto' | CgroupDriver): Promise<Check[]> {
  let hierarchy: CgroupHierarchy;
  try {
    hierarchy = await readCgroupHierarchy();
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return [essential({ area: 'cgroup', name: 'cgroup v2', found }, false, 'containers cannot be contained or ended; boot with cgroup v2')];
  }
  return [...hierarchyChecks(hierarchy, allowMissing), ...(await driverChecks(driver, hierarchy))];
}

export function hierarchyChecks(hierarchy: CgroupHierarchy, allowMissing: boolean): Check[] {
  const { mountPoint, controllers } = hierarchy;
  const hybrid = mountPoint !== '/sys/fs/cgroup';
  const found = hybrid ? `hybrid, v2 at ${mountPoint}` : mountPoint;
  const mode = optional({ area: 'cgroup', name: 'cgroup v2', found }, !hybrid, 'v1 holds controllers back; boot with systemd.unified_cgroup_hierarchy=1');
  const each = Object.entries(neededControllers).map(([name, use]) => {
    const present = controllers.has(name);
    const parts = { area: 'cgroup', name: `controller ${name}`, found: present ? 'offered' : 'not offered by v2' } as const;
    if (allowMissing) return optional(parts, present, `not enforced: ${use}`);
    return essential(parts, present, `not enforced: ${use}; berthd then starts only with --allow-missing-controllers`);
  });
  const hugepages = controllers.has('hugetlb');
  const parts = { area: 'cgroup', name: 'controller hugetlb', found: hugepages ? 'offered' : 'not offered by v2' } as const;
  return [mode, ...each, optional(parts, hugepages, 'not enforced: limits on huge pages')];
}
