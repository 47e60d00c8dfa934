/** `berth check`: what this machine offers, what is missing, and what that costs. */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { nativePrograms } from '../config/programs.ts';
import { cgroupChecks } from './checks/cgroup.ts';
import type { Check } from './checks/check.ts';
import { kernelChecks } from './checks/kernel.ts';
import { networkChecks } from './checks/network.ts';
import { privilegeChecks } from './checks/privileges.ts';
import { programChecks } from './checks/programs.ts';
import { securityChecks } from './checks/security.ts';
import type { Command } from './command.ts';
import { formatTable } from './table.ts';

const help = `Usage: berth check [--config FILE] [--allow-missing-controllers] [--json]

Looks at kernel, privileges, cgroups, network, programs and security modules.
Run it as root, as berthd would be. It changes nothing: what it tries, it tries
in namespaces of its own.

  ok       there
  limited  missing, and the cost is named; berthd works without it
  MISSING  berthd cannot work without it

--allow-missing-controllers judges cgroup controllers as berthd does with that flag.
Exit status: 0 when nothing essential is missing, 1 otherwise, 2 for wrong usage.
`;

export const checkCommand: Command = {
  name: 'check',
  summary: 'what this machine offers, what is missing and what that costs',
  help,
  async run(args, output) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        'allow-missing-controllers': { type: 'boolean' },
        json: { type: 'boolean' },
      },
    });
    const { config } = await loadConfig({ overrides: new Map(), ...(values.config !== undefined && { configFile: values.config }) });
    const allowMissing = values['allow-missing-controllers'] ?? config.runtime.allowMissingControllers;
    const own = nativePrograms(import.meta.url);
    const groups = await Promise.all([
      kernelChecks(config.root),
      privilegeChecks(),
      cgroupChecks(allowMissing, config.runtime.cgroupDriver),
      networkChecks(config.cni, own.net),
      programChecks(own, process.env['PATH'] ?? ''),
      securityChecks(),
    ]);
    const checks = groups.flat();
    const missing = checks.filter(({ state }) => state === 'missing').length;
    output.write(values.json === true ? `${JSON.stringify({ ok: missing === 0, checks }, undefined, 2)}\n` : report(checks));
    return missing === 0 ? 0 : 1;
  },
};

export function report(checks: readonly Check[]): string {
  const rows = checks.map(({ area, name, state, found, cost }) => [
    area,
    name,
    state === 'missing' ? 'MISSING' : state,
    cost === '' ? found : `${found} — ${cost}`,
  ]);
  const count = (state: Check['state']): number => checks.filter((check) => check.state === state).length;
  const summary = `${count('ok')} ok, ${count('limited')} limited, ${count('missing')} missing`;
  return `${formatTable([['AREA', 'WHAT', 'STATE', 'FOUND'], ...rows])}\n${summary}\n`;
}
