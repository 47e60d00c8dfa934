import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { RealNetworkReport } from './testing/real-network.ts';

const child = fileURLToPath(new URL('testing/real-network.ts', import.meta.url));
/** Its own PID namespace as well: whatever the child starts ends with it. */
const namespaces = ['-n', '-m', '-p', '-f', '--mount-proc', '--kill-child'];
const missing = whyNot();
if (missing !== '') process.stderr.write(`skipped: pod network over real plugins: ${missing}\n`);

describe.skipIf(missing !== '')('the built-in network over the standard plugins', () => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-real-cni-'));
  let report: RealNetworkReport;

  beforeAll(() => {
    const output = execFileSync('unshare', [...namespaces, process.execPath, child, directory], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 110_000 });
    report = JSON.parse(output) as RealNetworkReport;
  }, 120_000);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('a pod is reached at both its addresses, from another pod and through its host port', () => {
    expect(report.ips).toEqual([expect.stringMatching(/^10\.77\.0\.\d+$/), expect.stringMatching(/^fd77::/)]);
    const hello = 'hello from the pod';
    expect(report.replies).toEqual({ ipv4: hello, ipv6: hello, loopbackHostPort: hello, bridgeHostPort: hello, podToPod: hello });
  });

  test('while they live, pods have links, rules and addresses', () => {
    expect(report.during.links.length).toBe(report.before.links.length + 2);
    expect(report.during.rules.length).toBeGreaterThan(report.before.rules.length);
    expect(report.during.addresses.length).toBe(4);
  });

  test('DEL leaves no link, no rule, no address and no record', () => {
    expect(report.after).toEqual(report.before);
    expect(report.after.addresses).toEqual([]);
    expect(report.cached).toEqual([]);
  });

  // Not its masquerade rules: the bridge plugin finds those by the addresses it deletes in the namespace.
  test('DEL releases the link and the addresses of a pod whose namespace went first', () => {
    expect(report.afterGone.addresses).toEqual([]);
    expect(report.afterGone.links).toEqual(report.before.links);
  });
});

/** Empty when the machine can run these tests. */
function whyNot(): string {
  if (!existsSync('/usr/lib/cni/bridge')) return 'no /usr/lib/cni/bridge (package containernetworking-plugins)';
  for (const program of ['ip', 'nsenter', 'iptables-save', 'busybox']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `no ${program}`;
  }
  const attempt = spawnSync('unshare', [...namespaces, 'true'], { encoding: 'utf8' });
  return attempt.status === 0 ? '' : `unshare ${namespaces.join(' ')}: ${attempt.error?.message ?? attempt.stderr.trim()}`;
}
