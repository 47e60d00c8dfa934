/**
 * Runs critest, the CRI's own conformance suite, against a berthd of its own:
 * `node conformance/critest.ts --critest /path/to/critest [--focus REGEXP] [--skip REGEXP]`, as root.
 * The images come from a local registry under the names that critest asks for.
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readCgroupHierarchy } from '../src/cgroup/hierarchy.ts';
import { critestImages } from './harness/critest-images.ts';
import { prepareDaemon } from './harness/daemon.ts';
import { push } from './harness/push.ts';
import { startRegistry } from './harness/registry.ts';
import type { Registry } from './harness/registry.ts';
import { inOwnWorld } from './harness/world.ts';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    critest: { type: 'string', default: 'critest' },
    focus: { type: 'string' },
    skip: { type: 'string' },
    /** A docker-registry's storage to serve in place of the stand-ins. */
    'registry-storage': { type: 'string' },
    out: { type: 'string', default: fileURLToPath(new URL('../build/critest', import.meta.url)) },
  },
});

interface Spec {
  readonly LeafNodeType: string;
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly State: string;
  readonly Failure?: { readonly Message?: string };
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** critest calls sudo, and takes its complaint of a host name that nobody knows for a failure. The mount is this world's. */
async function nameHost(): Promise<void> {
  const hosts = path.join(tmpdir(), 'hosts');
  await writeFile(hosts, `127.0.0.1 ${hostname()}\n${await readFile('/etc/hosts', 'utf8')}`);
  execFileSync('mount', ['--bind', hosts, '/etc/hosts']);
}

async function startImages(): Promise<Registry> {
  const storage = options['registry-storage'];
  if (storage !== undefined) return startRegistry({ kind: 'none' }, storage);
  const registry = await startRegistry();
  for (const { repository, tags, image } of critestImages()) for (const tag of tags) await push(registry, repository, tag, image);
  return registry;
}

/** Everything critest prints goes to a file, as it comes; it is long. */
async function critest(socket: string): Promise<number> {
  const config = path.join(options.out, 'crictl.yaml');
  await writeFile(config, '');
  const args = [
    '-config', config, '-runtime-endpoint', socket, '-image-endpoint', socket,
    '-ginkgo.no-color', '-ginkgo.v', '-ginkgo.json-report', path.join(options.out, 'report.json'),
    ...(options.focus === undefined ? [] : [`-ginkgo.focus=${options.focus}`]),
    ...(options.skip === undefined ? [] : [`-ginkgo.skip=${options.skip}`]),
    ...positionals,
  ];
  const log = await open(path.join(options.out, 'critest.log'), 'w');
  try {
    const child = spawn(options.critest, args, { stdio: ['ignore', log.fd, log.fd] });
    return await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(new Error(`${options.critest} does not start: ${error.message}`)));
      child.once('close', (exit) => resolve(exit ?? 1));
    });
  } finally {
    await log.close();
  }
}

async function report(): Promise<void> {
  const suites = JSON.parse(await readFile(path.join(options.out, 'report.json'), 'utf8')) as { SpecReports: Spec[] }[];
  const specs = suites.flatMap((suite) => suite.SpecReports).filter((spec) => spec.LeafNodeType === 'It');
  const nameOf = (spec: Spec): string => [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].join(' ');
  const of = (...states: string[]): Spec[] => specs.filter((spec) => states.includes(spec.State));
  const failed = of('failed', 'panicked', 'timedout', 'interrupted', 'aborted');
  for (const spec of failed) say(`FAILED  ${nameOf(spec)}\n        ${(spec.Failure?.Message ?? '').replaceAll('\n', ' ').slice(0, 300)}`);
  const conformance = specs.filter((spec) => nameOf(spec).includes('[Conformance]'));
  say(`\n[Conformance]: ${conformance.filter((spec) => spec.State === 'passed').length} passed, ${conformance.filter((spec) => failed.includes(spec)).length} failed`);
  say(`${of('passed').length} passed, ${failed.length} failed, ${of('skipped', 'pending').length} skipped`);
}

async function main(): Promise<number> {
  await mkdir(options.out, { recursive: true });
  await rm(path.join(options.out, 'report.json'), { force: true });
  await nameHost();
  const registry = await startImages();
  const enforceLimits = (await readCgroupHierarchy()).missing.length === 0;
  const daemon = await prepareDaemon({ enforceLimits, registries: { _default: registry.url } });
  try {
    await daemon.start();
    const code = await critest(daemon.socket);
    await report();
    say(`log, report and berthd's log are in ${options.out}`);
    return code;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await writeFile(path.join(options.out, 'berthd.log'), `${daemon.log.join('\n')}\n`);
    await daemon.dispose();
    await registry.stop();
  }
}

await inOwnWorld({ pid: true }, main);
