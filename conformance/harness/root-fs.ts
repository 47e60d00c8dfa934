/** Builders for the files of a test image's root, in the order in which they go into the archive. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { EPOCH } from './oci-image.ts';
import type { TarEntry } from './tar-writer.ts';

/** From Debian's busybox-static. */
export const BUSYBOX = '/bin/busybox';

type Overrides = Partial<Omit<TarEntry, 'name' | 'kind'>>;

const plain = { uid: 0, gid: 0, mtime: EPOCH };

export function dir(name: string, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'dir', mode: 0o755, ...overrides };
}

export function file(name: string, content: string | Buffer, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'file', mode: 0o644, data: Buffer.from(content), ...overrides };
}

export function symlink(name: string, link: string, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'symlink', mode: 0o777, link, ...overrides };
}

export function hardlink(name: string, link: string, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'hardlink', mode: 0o644, link, ...overrides };
}

export function fifo(name: string, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'fifo', mode: 0o644, ...overrides };
}

export function chardev(name: string, major: number, minor: number, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'chardev', mode: 0o666, device: { major, minor }, ...overrides };
}

export function blockdev(name: string, major: number, minor: number, overrides: Overrides = {}): TarEntry {
  return { ...plain, name, kind: 'blockdev', mode: 0o660, device: { major, minor }, ...overrides };
}

/** The OCI mark that a lower layer's `path` is gone. */
export function whiteout(path: string): TarEntry {
  const slash = path.lastIndexOf('/');
  return file(`${path.slice(0, slash + 1)}.wh.${path.slice(slash + 1)}`, '');
}

/** The OCI mark that nothing of the lower layers shows in `directory`. */
export function opaque(directory: string): TarEntry {
  return file(`${directory}/.wh..wh..opq`, '');
}

export const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'www-data:x:33:33:www-data:/var/www:/bin/false',
  'alice:x:1000:1000:Alice:/home/alice:/bin/sh',
  'bob:x:1001:1001:Bob:/home/bob:/bin/sh',
  'nobody:x:65534:65534:nobody:/home:/bin/false',
  '',
].join('\n');

export const GROUP = [
  'root:x:0:',
  'daemon:x:1:',
  'www-data:x:33:',
  'users:x:100:',
  'alice:x:1000:',
  'bob:x:1001:',
  'painters:x:2000:alice',
  'readers:x:2001:alice,bob',
  'nogroup:x:65534:',
  '',
].join('\n');

let applets: readonly string[] | undefined;

function busyboxApplets(): readonly string[] {
  applets ??= execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n').filter((name) => name !== 'busybox');
  return applets;
}

/** A small root: busybox with a symlink for each applet, users and groups, /tmp. */
export function busyboxRoot(): TarEntry[] {
  return [
    dir('bin'),
    file('bin/busybox', readFileSync(BUSYBOX), { mode: 0o755 }),
    ...busyboxApplets().map((name) => symlink(`bin/${name}`, 'busybox')),
    dir('etc'),
    file('etc/passwd', PASSWD),
    file('etc/group', GROUP),
    dir('home'),
    dir('home/alice', { uid: 1000, gid: 1000 }),
    dir('root', { mode: 0o700 }),
    dir('tmp', { mode: 0o1777 }),
    dir('usr'),
    dir('usr/bin'),
    symlink('usr/bin/env', '/bin/env'),
    dir('var'),
  ];
}
