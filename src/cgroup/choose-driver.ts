import { readlink } from 'node:fs/promises';
import { BerthError } from '../errors/catalogue.ts';
import type { CgroupHierarchy } from './hierarchy.ts';
import { exists } from './tree.ts';

export type CgroupDriver = 'cgroupfs' | 'systemd';

/** Where systemd shows itself; tests give others. */
export interface SystemdPlaces {
  /** There when systemd is the init (sd_booted(3)). */
  readonly runtime: string;
  /** The system bus (D-Bus Specification, "Well-known Message Bus Instances"). */
  readonly bus: string;
  /** This process's PID namespace (namespaces(7)). */
  readonly pidNamespace: string;
}

export const systemdPlaces: SystemdPlaces = { runtime: '/run/systemd/system', bus: '/run/dbus/system_bus_socket', pidNamespace: '/proc/self/ns/pid' };

/** PROC_PID_INIT_INO (include/linux/proc_ns.h). */
const initialPidNamespace = 'pid:[4026531836]';

/**
 * The driver that the configuration names; for `auto`, systemd where it is the init, manages the one cgroup tree
 * of the node and can be asked. Throws HOST_UNSUITABLE where the named one cannot work.
 */
export async function chooseDriver(
  setting: 'auto' | CgroupDriver,
  hierarchy: Pick<CgroupHierarchy, 'mountPoint'>,
  places: SystemdPlaces = systemdPlaces,
): Promise<CgroupDriver> {
  if (setting === 'cgroupfs') return setting;
  const problem = await whyNotSystemd(hierarchy, places);
  if (problem === '') return 'systemd';
  if (setting === 'auto') return 'cgroupfs';
  throw new BerthError('HOST_UNSUITABLE', `runtime.cgroup_driver: the systemd driver cannot work here, since ${problem}; use cgroupfs, also in the kubelet`);
}

async function whyNotSystemd({ mountPoint }: Pick<CgroupHierarchy, 'mountPoint'>, { runtime, bus, pidNamespace }: SystemdPlaces): Promise<string> {
  if (!(await exists(runtime))) return `systemd is not the init of this node (there is no ${runtime})`;
  if (mountPoint !== '/sys/fs/cgroup') return `systemd manages version 1 of the cgroups, and version 2 is at ${mountPoint}`;
  if (!(await exists(bus))) return `there is no D-Bus system bus at ${bus}`;
  // Process ids travel to systemd as numbers, which mean others there.
  if ((await readlink(pidNamespace)) !== initialPidNamespace) return 'berthd runs in a PID namespace of its own';
  return '';
}
