/**
 * The images of the tests, built from Debian's busybox. Each is a function, built when first asked
 * for; the names are repositories in the test registry.
 */

import { buildImage, buildIndex, buildLayer } from './oci-image.ts';
import type { BuiltImage, BuiltIndex, BuiltLayer } from './oci-image.ts';
import { chardev, dir, fifo, file, hardlink, busyboxRoot, opaque, symlink, whiteout } from './root-fs.ts';

export const WEB_PAGE = 'Hello from a pod.\n';

const lazily = <T>(build: () => T): (() => T) => {
  let built: T | undefined;
  return () => (built ??= build());
};

export const busyboxLayer = lazily((): BuiltLayer => buildLayer(busyboxRoot()));

export const busybox = lazily((): BuiltImage => buildImage([busyboxLayer()], { Cmd: ['sh'] }));

/** Serves WEB_PAGE on port 8080 and logs each request. */
export const web = lazily((): BuiltImage => {
  const site = buildLayer([dir('www'), file('www/index.html', WEB_PAGE)]);
  return buildImage([busyboxLayer(), site], {
    Entrypoint: ['/bin/httpd', '-f', '-vv', '-p', '8080'],
    Cmd: ['-h', '/www'],
    WorkingDir: '/www',
  });
});

/** One marker file on top of busybox, in the given compression. */
export function compressed(compression: 'gzip' | 'zstd' | 'none'): BuiltImage {
  return buildImage([buildLayer(busyboxRoot(), compression), buildLayer([file('compression', `${compression}\n`)], compression)], {
    Cmd: ['cat', '/compression'],
  });
}

/** Docker's media types in place of OCI's. */
export const docker = lazily((): BuiltImage => buildImage([busyboxLayer()], { Cmd: ['sh'] }, { docker: true }));

/** amd64 and two others; only the amd64 one has a file /amd64. */
export const multiPlatform = lazily((): BuiltIndex => {
  const forArchitecture = (architecture: string): { image: BuiltImage; architecture: string } => ({
    architecture,
    image: buildImage([busyboxLayer(), buildLayer([file(architecture, '')])], { Cmd: ['sh'] }, { architecture }),
  });
  return buildIndex(['arm64', 'amd64', 's390x'].map(forArchitecture));
});

/** An index without an image for this machine. */
export const foreignPlatform = lazily((): BuiltIndex => {
  const image = buildImage([busyboxLayer()], {}, { architecture: 's390x' });
  return buildIndex([{ architecture: 's390x', image }]);
});

/** Three layers in which the upper ones take things away from the lower ones. */
export const layered = lazily((): BuiltImage => {
  const base = buildLayer([
    dir('data'),
    file('data/kept', 'base\n'),
    file('data/removed', 'base\n'),
    file('data/replaced', 'base\n'),
    dir('data/emptied'),
    file('data/emptied/old', 'base\n'),
    dir('data/gone'),
    file('data/gone/file', 'base\n'),
    dir('data/to-file'),
    file('data/to-file/inside', 'base\n'),
    symlink('data/link', 'kept'),
  ]);
  const middle = buildLayer([
    whiteout('data/removed'),
    whiteout('data/gone'),
    file('data/replaced', 'middle\n'),
    dir('data/emptied'),
    opaque('data/emptied'),
    file('data/emptied/new', 'middle\n'),
    file('data/to-file', 'a file now\n'),
  ]);
  const top = buildLayer([file('data/removed', 'back again\n'), dir('data/top'), file('data/top/file', 'top\n')]);
  return buildImage([busyboxLayer(), base, middle, top], { Cmd: ['sh'] });
});

/** Everything that a layer can say of a file besides its content. */
export const attributes = lazily((): BuiltImage => {
  const layer = buildLayer([
    dir('attr', { mode: 0o751, uid: 1000, gid: 2000 }),
    file('attr/setuid', 'x', { mode: 0o4755 }),
    file('attr/setgid', 'x', { mode: 0o2755, gid: 2000 }),
    file('attr/owned', 'x', { mode: 0o640, uid: 1001, gid: 2001 }),
    file('attr/old', 'x', { mtime: 1_000_000_000 }),
    file('attr/original', 'shared\n'),
    hardlink('attr/linked', 'attr/original'),
    symlink('attr/dangling', '/nowhere'),
    fifo('attr/pipe', { mode: 0o600 }),
    chardev('attr/null', 1, 3, { mode: 0o666 }),
    file(`attr/${'long-name-'.repeat(15)}`, 'x'),
    file('attr/user-xattr', 'x', { xattrs: { 'user.berth': Buffer.from('tested') } }),
    // cap_net_raw+ep: VFS_CAP_REVISION_2 with the effective flag, permitted bit 13.
    file('attr/capable', 'x', {
      mode: 0o755,
      xattrs: { 'security.capability': Buffer.from('0100000200200000000000000000000000000000', 'hex') },
    }),
  ]);
  return buildImage([busyboxLayer(), layer], { Cmd: ['sh'] });
});

/** busybox with the image's own USER. */
export function withUser(user: string): BuiltImage {
  return buildImage([busyboxLayer()], { User: user, Cmd: ['sh'] });
}

/** busybox with entrypoint, command, environment and working directory, for the rules that combine them. */
export const commanded = lazily((): BuiltImage =>
  buildImage([busyboxLayer()], {
    Entrypoint: ['/bin/echo', 'entrypoint'],
    Cmd: ['cmd'],
    Env: ['PATH=/usr/bin:/bin', 'FROM_IMAGE=yes', 'OVERRIDDEN=image'],
    WorkingDir: '/made/by/image',
    StopSignal: 'SIGUSR1',
    Labels: { 'org.example.berth': 'conformance' },
  }),
);

/** Names no program at all. */
export const commandless = lazily((): BuiltImage => buildImage([busyboxLayer()]));
