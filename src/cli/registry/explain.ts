/** `berth registry explain`: where an image would come from. */
import { parseArgs } from 'node:util';
import { loadConfig } from '../../config/load.ts';
import { parseReference } from '../../image-service/reference.ts';
import type { PullAuth } from '../../image-service/registry/credentials.ts';
import type { Endpoint } from '../../image-service/registry/endpoint.ts';
import { explainReference } from '../../image-service/registry/explain.ts';
import type { CredentialsSource, ExplainedEndpoint, Explanation } from '../../image-service/registry/explain.ts';
import type { Command } from '../command.ts';

const help = `Usage: berth registry explain REF [--user NAME:PASSWORD] [--registry-config-dir DIR] [--config FILE] [--json]

Prints, without pulling, which hosts would be asked for REF, in which order, with
which certificates and credentials, and asks each for the manifest once. It reads
the same files as berthd and the same proxy variables, from its own environment.
Exit status: 0 when one of them has it, 1 when none has, 2 for wrong usage.
`;

/** Milliseconds for all of it. */
const patience = 120_000;

const usageError = 2;

export const registryCommand: Command = {
  name: 'registry',
  summary: 'explain which hosts an image would be pulled from',
  help,
  async run(args, output) {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        'registry-config-dir': { type: 'string' },
        user: { type: 'string' },
        json: { type: 'boolean' },
      },
      allowPositionals: true,
    });
    const [command, reference, ...more] = positionals;
    if (command !== 'explain' || reference === undefined || more.length > 0) {
      output.complain(help);
      return usageError;
    }
    const overrides = new Map(
      values['registry-config-dir'] === undefined ? [] : [['registry.config_dir', values['registry-config-dir']] as const],
    );
    const { config } = await loadConfig({ overrides, ...(values.config !== undefined && { configFile: values.config }) });
    const { configDir, dockerCertsDir, authFile, progressTimeoutSeconds } = config.registry;
    const options = { configDir, dockerCertsDir, authFile, progressTimeout: progressTimeoutSeconds * 1000, environment: process.env };
    const explanation = await explainReference(parseReference(reference), givenAuth(values.user), options, AbortSignal.timeout(patience));
    output.write(values.json === true ? `${JSON.stringify(plain(explanation), undefined, 2)}\n` : describe(explanation, authFile));
    return explanation.endpoints.some(({ answer }) => 'digest' in answer) ? 0 : 1;
  },
};

function givenAuth(user: string | undefined): PullAuth | undefined {
  if (user === undefined) return undefined;
  const colon = user.indexOf(':');
  const [username, password] = colon === -1 ? [user, ''] : [user.slice(0, colon), user.slice(colon + 1)];
  return { credentials: { kind: 'basic', username, password }, serverHost: '' };
}

export function describe({ reference, source, endpoints }: Explanation, authFile: string): string {
  const lines = [reference, `hosts are named by ${source ?? 'nobody, so it is the registry itself over https'}`];
  endpoints.forEach((explained, position) => lines.push('', ...describeEndpoint(explained, position + 1, authFile)));
  return `${lines.join('\n')}\n`;
}

function describeEndpoint({ endpoint, credentials, proxy, took, answer }: ExplainedEndpoint, number: number, authFile: string): readonly string[] {
  const rows: (readonly [string, string])[] = [
    ['asked for', [...endpoint.capabilities].join(', ') || 'nothing'],
    ['trust', trust(endpoint)],
    ...(proxy === undefined ? [] : [['proxy', proxy] as const]),
    ['credentials', credentialText(credentials, authFile)],
    // Their values are secrets as a rule.
    ...(Object.keys(endpoint.headers).length > 0 ? [['headers', Object.keys(endpoint.headers).join(', ')] as const] : []),
    ['answer', 'digest' in answer ? `${answer.digest} ${answer.type} in ${Math.round(took)} ms` : answer.problem],
  ];
  const title = `${number}. ${endpoint.origin}${endpoint.basePath}${endpoint.isMirror ? ' (mirror)' : ''}`;
  return [title, ...rows.map(([name, text]) => `   ${name.padEnd(12)} ${text}`)];
}

function trust({ origin, tls }: Endpoint): string {
  if (origin.startsWith('http://')) return 'none: plain HTTP, nothing is encrypted';
  const authorities = tls.skipVerify ? 'any certificate (skip_verify)' : ["the system's authorities", ...tls.ca].join(', ');
  const clients = tls.client.map(({ cert }) => cert);
  return clients.length === 0 ? authorities : `${authorities}; shows ${clients.join(', ')}`;
}

function credentialText(source: CredentialsSource, authFile: string): string {
  const texts = {
    none: 'none; berthd gets them with each pull from the kubelet',
    given: 'those given here',
    file: authFile,
    withheld: 'withheld: a mirror for every registry does not get those of one',
  } as const;
  return texts[source];
}

function plain({ reference, source, endpoints }: Explanation): object {
  return {
    reference,
    source,
    endpoints: endpoints.map(({ endpoint, credentials, proxy, took, answer }) => ({
      url: `${endpoint.origin}${endpoint.basePath}`,
      mirror: endpoint.isMirror,
      capabilities: [...endpoint.capabilities],
      tls: endpoint.tls,
      headers: Object.keys(endpoint.headers),
      credentials,
      proxy,
      milliseconds: Math.round(took),
      answer,
    })),
  };
}
