/** Programs: Berth's own, and those of the system that CNI plugins and profiles call. */
import type { NativePrograms } from '../../config/programs.ts';
import { essential, optional, type Check } from './check.ts';
import { executable, findExecutable } from './network.ts';

export async function programChecks(own: NativePrograms, path: string): Promise<Check[]> {
  const directories = path.split(':').filter((directory) => directory !== '');
  const ownProgram = async (name: string, file: string, needed: boolean, cost: string): Promise<Check> => {
    const present = await executable(file);
    const parts = { area: 'programs', name, found: present ? file : `not at ${file}` } as const;
    return needed ? essential(parts, present, cost) : optional(parts, present, cost);
  };
  const systemTool = async (name: string, cost: string): Promise<Check> => {
    const file = await findExecutable(name, directories);
    return optional({ area: 'programs', name, found: file ?? 'not in PATH' }, file !== undefined, cost);
  };
  return Promise.all([
    ownProgram('berth-shim', own.shim, true, 'no container can run; install Berth completely'),
    ownProgram('berth-unpack', own.unpack, true, 'no image can be pulled; install Berth completely'),
    ownProgram('berth-net', own.net, false, 'no network of its own where CNI is not configured'),
    ownProgram('berth-notify', own.notify, false, 'systemd does not learn that berthd is ready'),
    systemTool('iptables', "the standard plugins' masquerade and host ports fail"),
    systemTool('nft', 'plugins and network policies that use nftables fail'),
    systemTool('apparmor_parser', 'AppArmor profiles cannot be loaded on this node'),
  ]);
}
