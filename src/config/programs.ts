/**
 * Where Berth's own native programs are.
 *
 *   const programs = nativePrograms(import.meta.url);     // in main.ts
 *
 * Installed, the bundle is DIR/lib/berthd.mjs and the programs are in DIR. From the sources, `main.ts` is in
 * src/ and they are in dist/, where `make build` puts them.
 */
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface NativePrograms {
  readonly shim: string;
  readonly unpack: string;
  readonly net: string;
  readonly notify: string;
  readonly seccomp: string;
  /** Not a program: the compiled default profile. */
  readonly appArmorPolicy: string;
}

/** `url` is that of the bundle, or of any file of the sources. */
export function nativePrograms(url: string): NativePrograms {
  const directory = programDirectory(fileURLToPath(url));
  return {
    shim: join(directory, 'berth-shim'),
    unpack: join(directory, 'berth-unpack'),
    net: join(directory, 'berth-net'),
    notify: join(directory, 'berth-notify'),
    seccomp: join(directory, 'berth-seccomp'),
    appArmorPolicy: join(directory, 'lib', 'berth-default.apparmor'),
  };
}

function programDirectory(file: string): string {
  if (file.endsWith('.mjs')) return dirname(dirname(file));
  let directory = dirname(file);
  while (basename(directory) !== 'src' && directory !== '/') directory = dirname(directory);
  return join(dirname(directory), 'dist');
}
