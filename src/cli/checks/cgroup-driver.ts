/** The cgroup driver, and whether the kubelet has the same. */
import { readFile } from 'node:fs/promises';
import { chooseDriver, systemdPlaces, type CgroupDriver, type SystemdPlaces } from '../../cgroup/choose-driver.ts';
import type { CgroupHierarchy } from '../../cgroup/hierarchy.ts';
import { essential, optional, type Check } from './check.ts';

/** Where kubeadm and most others keep the kubelet's configuration. */
const kubeletConfig = '/var/lib/kubelet/config.yaml';

/** `setting` is `runtime.cgroup_driver`. */
export async function driverChecks(
  setting: 'auto' | CgroupDriver,
  hierarchy: Pick<CgroupHierarchy, 'mountPoint'>,
  places: SystemdPlaces = systemdPlaces,
  kubeletFile = kubeletConfig,
): Promise<Check[]> {
  const name = 'cgroup driver';
  let driver: CgroupDriver;
  try {
    driver = await chooseDriver(setting, hierarchy, places);
  } catch (error) {
    return [essential({ area: 'cgroup', name, found: setting }, false, error instanceof Error ? error.message : String(error))];
  }
  const kubelet = await driverOfKubelet(kubeletFile);
  const own = essential({ area: 'cgroup', name, found: setting === 'auto' ? `${driver}, found out` : `${driver}, as configured` }, true, '');
  if (kubelet === undefined) return [own];
  const cost = `Berth has ${driver}; pods are refused, unless the kubelet asks its runtime (1.34 and newer): make them agree in ${kubeletFile}`;
  return [own, optional({ area: 'cgroup', name: "kubelet's cgroup driver", found: kubelet }, kubelet === driver, cost)];
}

/** What a KubeletConfiguration says at its top level; undefined where it is silent or not there. */
async function driverOfKubelet(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return /^cgroupDriver:\s*["']?(\w+)/m.exec(text)?.[1];
}
