import type { Logger } from 'pino';
import { createCgroups } from './cgroups.ts';
import type { Cgroups } from './cgroups.ts';
import { chooseDriver, systemdPlaces } from './choose-driver.ts';
import type { CgroupHierarchy } from './hierarchy.ts';
import { createSystemdCgroups } from './systemd/driver.ts';
import type { SystemdDriverOptions } from './systemd/driver.ts';
import { connectSystemd } from './systemd/manager.ts';

/** How long systemd may take to answer at the start, in ms. */
const startPatience = 10_000;

/**
 * The cgroups by the driver that the configuration names or the machine suggests. Rejects with HOST_UNSUITABLE where the
 * named driver cannot work, with SYSTEMD_UNAVAILABLE where systemd is to be the driver and does not answer: another
 * driver than the last time would not be the kubelet's any more.
 */
export async function openCgroups(options: {
  readonly setting: 'auto' | Cgroups['driver'];
  readonly hierarchy: CgroupHierarchy;
  readonly log: Logger;
  readonly hold: SystemdDriverOptions['hold'];
}): Promise<{ readonly cgroups: Cgroups; close(): void }> {
  const { hierarchy, log, hold } = options;
  const driver = await chooseDriver(options.setting, hierarchy);
  log.info({ driver, mountPoint: hierarchy.mountPoint }, 'cgroup driver');
  if (driver === 'cgroupfs') return { cgroups: createCgroups(hierarchy, log), close: () => undefined };
  const manager = connectSystemd(systemdPlaces.bus);
  await manager.ping(AbortSignal.timeout(startPatience));
  return { cgroups: createSystemdCgroups({ hierarchy, log, manager, hold }), close: () => manager.close() };
}
