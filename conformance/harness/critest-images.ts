/**
 * Stand-ins for the images that critest pulls, made of Debian's parts: a shell, busybox, a web server
 * and a setuid program. Repository paths are as on their registries; the host is left to a mirror.
 *
 * Two specs cannot pass with them: critest asks for test-image-digest by the digest of the original, and
 * wants busybox's own wording of "Permission denied" for a masked program.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildImage, buildIndex, buildLayer } from './oci-image.ts';
import type { BuiltIndex, BuiltLayer, RunConfig } from './oci-image.ts';
import { busyboxRoot, dir, file, hardlink, GROUP, PASSWD } from './root-fs.ts';
import type { TarEntry } from './tar-writer.ts';

const E2E = 'e2e-test-images';
const STAGING = 'k8s-staging-cri-tools';

export interface NamedImage {
  readonly repository: string;
  readonly tags: readonly string[];
  readonly image: BuiltIndex;
}

/** What busybox-static lacks, as far as critest uses it. */
const PGREP = '#!/bin/sh\nfor p in /proc/[0-9]*; do read -r name < $p/comm && case $name in *"$1"*) echo ${p#/proc/};; esac; done 2>/dev/null\n';
const IPCS = '#!/bin/sh\necho "------ Shared Memory Segments --------"\nwhile read -r key id perms size rest; do echo "$key $id $perms $size"; done < /proc/sysvipc/shm\n';

/**
 * The root with real programs: dash for `sh`, because busybox-static's shell runs its applets without
 * looking at PATH, and hard links, because a masked /bin/ls must not mask all of busybox.
 */
function base(passwd = PASSWD, group = GROUP): BuiltLayer {
  const entries = busyboxRoot()
    .filter(({ name }) => !['bin/sh', 'etc/passwd', 'etc/group'].includes(name))
    .map((entry) => (entry.kind === 'symlink' && entry.link === 'busybox' ? hardlink(entry.name, 'bin/busybox', { mode: 0o755 }) : entry));
  const extra = [
    file('etc/passwd', passwd),
    file('etc/group', group),
    file('bin/pgrep', PGREP, { mode: 0o755 }),
    file('bin/ipcs', IPCS, { mode: 0o755 }),
    ...program('bin/sh', realpathSync('/bin/sh')),
  ];
  return buildLayer([...entries, ...extra]);
}

/** A dynamically linked program of this machine with its libraries. */
function program(name: string, source: string): TarEntry[] {
  const libraries = [...execFileSync('ldd', [source], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '');
  const parents = new Set(libraries.flatMap((library) => parentsOf(library.slice(1))));
  return [
    ...[...parents].sort().map((parent) => dir(parent)),
    ...libraries.map((library) => file(library.slice(1), readFileSync(realpathSync(library)), { mode: 0o755 })),
    file(name, readFileSync(source), { mode: 0o755 }),
  ];
}

function parentsOf(name: string): string[] {
  const parent = path.dirname(name);
  return parent === '.' ? [] : [...parentsOf(parent), parent];
}

/** Says its effective user id; installed setuid, so it shows whether no_new_privs holds. */
function nnp(): TarEntry {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-nnp-'));
  try {
    writeFileSync(`${directory}/nnp.c`, '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("Effective uid: %d\\n", geteuid()); }\n');
    execFileSync('cc', ['-Os', '-static', '-s', '-Wl,--build-id=none', '-o', `${directory}/nnp`, `${directory}/nnp.c`]);
    return file('nnp', readFileSync(`${directory}/nnp`), { mode: 0o6755 });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Under the names that critest looks for: a process "nginx" with "master process" in its command line, and its PID file. */
function server(port: number): { layer: BuiltLayer; run: RunConfig } {
  const page = '<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n';
  const script = `#!/bin/sh\necho $$ > /var/run/nginx.pid\nhttpd -f -vv -p ${port} -h /www &\ntrap "kill $!; exit 0" TERM QUIT INT\nwait\n`;
  return {
    layer: buildLayer([
      dir('www'),
      file('www/index.html', page),
      dir('var/run'),
      file('bin/nginx', script, { mode: 0o755 }),
    ]),
    run: { Entrypoint: ['/bin/nginx', 'master process'], StopSignal: 'SIGQUIT' },
  };
}

const HTTPD = '#!/bin/sh\necho "[core:notice] AH00094: Command line: \'httpd -D FOREGROUND\'" >&2\nexec httpd -f -vv -p 80 -h /www\n';

function index(layers: readonly BuiltLayer[], run: RunConfig, label: string): BuiltIndex {
  const image = buildImage(layers, { ...run, Labels: { 'org.example.stand-in': label } });
  return buildIndex([{ image, architecture: 'amd64' }]);
}

const PREDEFINED_PASSWD = 'root:x:0:0:root:/root:/bin/sh\ndefault-user:x:1000:1000::/home/default-user:/bin/sh\n';
const PREDEFINED_GROUP = 'root:x:0:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n';

export function critestImages(): NamedImage[] {
  const root = base();
  const shell: RunConfig = { Cmd: ['sh'] };
  const web = server(80);
  const hostWeb = server(12003);
  const named = (repository: string, tags: readonly string[], layers: readonly BuiltLayer[], run: RunConfig): NamedImage => ({
    repository,
    tags,
    image: index(layers, run, repository),
  });
  const user = (name: string, spec: string): NamedImage => named(`${STAGING}/test-image-user-${name}`, ['latest'], [root], { ...shell, User: spec });
  const predefined = base(PREDEFINED_PASSWD, PREDEFINED_GROUP);
  return [
    named(`${E2E}/busybox`, ['1.29-2', '1.29-4', '1.36.1-1', '1.37.0-1'], [root], shell),
    named('library/busybox', ['latest', '1.35', '1.36', '1.37.0'], [root], shell),
    named(`${E2E}/nginx`, ['1.14-2', '1.14-4'], [root, web.layer], web.run),
    named('library/nginx', ['latest', '1.25.0'], [root, web.layer], web.run),
    named(`${STAGING}/hostnet-nginx-amd64`, ['latest'], [root, hostWeb.layer], hostWeb.run),
    named(`${STAGING}/hostnet-nginx`, ['latest'], [root, hostWeb.layer], hostWeb.run),
    named(`${E2E}/httpd`, ['2.4.39-4'], [root, web.layer, buildLayer([file('bin/httpd-foreground', HTTPD, { mode: 0o755 })])], { Cmd: ['httpd-foreground'] }),
    named(`${E2E}/nonewprivs`, ['1.3'], [root, buildLayer([nnp()])], { User: '1000', Entrypoint: ['/nnp'] }),
    named('pause', ['3.8', '3.9', '3.10', '3.10.1', '3.10.2'], [root], { Entrypoint: ['sleep', '1000000'], User: '65535:65535' }),
    user('uid', '1002'),
    user('username', 'www-data'),
    user('uid-group', '1003:1004'),
    user('username-group', 'www-data:1004'),
    named(`${STAGING}/test-image-predefined-group`, ['latest'], [predefined], { ...shell, User: '1000' }),
    ...['1', '2', '3', 'latest', 'digest'].map((name) => named(`${STAGING}/test-image-${name}`, ['latest'], [root], shell)),
    named(`${STAGING}/test-image-tags`, ['1', '2', '3'], [root], shell),
    ...['test', 'all'].map((tag) => named(`${STAGING}/test-image-tag`, [tag], [root], { ...shell, WorkingDir: `/${tag}` })),
  ];
}
