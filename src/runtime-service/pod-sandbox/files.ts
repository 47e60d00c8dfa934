import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DNSConfig__Output } from '../../cri-server/generated/runtime/v1/DNSConfig.ts';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';

/** The files of a sandbox that its containers see as /etc/hosts, /etc/hostname and /etc/resolv.conf. */
export const sandboxFiles = { hosts: 'hosts', hostname: 'hostname', resolvConf: 'resolv.conf' } as const;

export async function writeSandboxFiles(directory: string, hostname: string, config: PodSandboxConfig__Output): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await Promise.all([
    copyFile('/etc/hosts', join(directory, sandboxFiles.hosts)).catch(() =>
      writeFile(join(directory, sandboxFiles.hosts), '127.0.0.1\tlocalhost\n::1\tlocalhost\n', { mode: 0o644 }),
    ),
    writeFile(join(directory, sandboxFiles.hostname), `${hostname}\n`, { mode: 0o644 }),
    resolvConf(config.dns_config).then((text) => writeFile(join(directory, sandboxFiles.resolvConf), text, { mode: 0o644 })),
  ]);
}

/** resolv.conf(5) from the pod's DNS settings; the node's own file where the pod gives none. */
async function resolvConf(dns: DNSConfig__Output | null): Promise<string> {
  if (dns === null || dns.servers.length + dns.searches.length + dns.options.length === 0) {
    return readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  }
  return formatResolvConf(dns);
}

export function formatResolvConf(dns: DNSConfig__Output): string {
  const lines: string[] = [];
  if (dns.searches.length > 0) lines.push(`search ${dns.searches.join(' ')}`);
  for (const server of dns.servers) lines.push(`nameserver ${server}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
