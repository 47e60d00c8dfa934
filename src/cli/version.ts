/** `berth version`: the version of this program, and that of the daemon when it answers. */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { version } from '../config/version.ts';
import type { VersionResponse__Output } from '../cri-server/generated/runtime/v1/VersionResponse.ts';
import type { Command } from './command.ts';
import { callRuntime } from './cri-client.ts';

const help = `Usage: berth version [--listen unix://PATH] [--config FILE] [--json]

Shows the version of berth, and of berthd when it answers on its socket.
Exit status: 0, also when berthd does not answer.
`;

type Server = { readonly version: VersionResponse__Output } | { readonly problem: string };

const timeoutMs = 2000;

async function askServer(listen: string): Promise<Server> {
  try {
    const reply = await callRuntime(listen, 'Version', { version: 'v1' }, timeoutMs);
    return { version: reply as VersionResponse__Output };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

export const versionCommand: Command = {
  name: 'version',
  summary: 'versions of berth and berthd',
  help,
  async run(args, output) {
    const { values } = parseArgs({
      args: [...args],
      options: { listen: { type: 'string' }, config: { type: 'string' }, json: { type: 'boolean' } },
    });
    const overrides = new Map(values.listen === undefined ? [] : [['listen', values.listen] as const]);
    const { config } = await loadConfig({ overrides, ...(values.config !== undefined && { configFile: values.config }) });
    const server = await askServer(config.listen);
    if (values.json === true) {
      output.write(`${JSON.stringify({ client: { version }, listen: config.listen, server }, undefined, 2)}\n`);
      return 0;
    }
    output.write(`berth   ${version}\n`);
    if ('problem' in server) {
      output.write(`berthd  does not answer on ${config.listen}: ${server.problem}\n`);
    } else {
      const { runtime_name, runtime_version, runtime_api_version } = server.version;
      output.write(`${runtime_name === 'berth' ? 'berthd' : runtime_name}  ${runtime_version} (CRI ${runtime_api_version}) on ${config.listen}\n`);
    }
    return 0;
  },
};
