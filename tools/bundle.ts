/**
 * Builds what is installed of the TypeScript side:
 *
 *   dist/berthd, dist/berth    launchers, runnable from anywhere and through symlinks
 *   dist/lib/*.mjs             one file for each program, with all its dependencies
 *   dist/lib/node              the Node.js that both run on, the version of package-lock.json
 */
import { chmodSync, copyFileSync, existsSync, linkSync, mkdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lib = join(root, 'dist/lib');

interface Program {
  readonly name: string;
  readonly entry: string;
  /** For node, before the program. */
  readonly nodeFlags: readonly string[];
}

const programs: readonly Program[] = [
  { name: 'berthd', entry: 'src/main.ts', nodeFlags: [] },
  { name: 'berth', entry: 'src/cli/main.ts', nodeFlags: [] },
];

/** CommonJS dependencies call `require` for Node's own modules; an ES module has none. */
const banner = `import { createRequire as berthCreateRequire } from 'node:module';
const require = berthCreateRequire(import.meta.url);`;

/**
 * `exec`: the daemon has the pid that the service manager started. NODE_OPTIONS and NODE_PATH are for
 * somebody else's node and could load code into ours.
 */
function launcher({ name, nodeFlags }: Program): string {
  const node = ['"$lib/node"', '--enable-source-maps', ...nodeFlags, `"$lib/${name}.mjs"`].join(' ');
  return `#!/bin/sh
lib=$(dirname -- "$(readlink -f -- "$0")")/lib
unset NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS NODE_V8_COVERAGE
exec ${node} "$@"
`;
}

async function bundle(program: Program): Promise<void> {
  await build({
    entryPoints: [join(root, program.entry)],
    outfile: join(lib, `${program.name}.mjs`),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    banner: { js: banner },
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'linked',
    logLevel: 'warning',
  });
  const path = join(root, 'dist', program.name);
  writeFileSync(path, launcher(program));
  chmodSync(path, 0o755);
}

/** A link costs nothing; a copy where the file system has none to offer. */
function installNode(): void {
  const source = realpathSync(join(root, 'node_modules/.bin/node'));
  const target = join(lib, 'node');
  if (existsSync(target) && statSync(target).size === statSync(source).size) return;
  rmSync(target, { force: true });
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target);
  }
}

mkdirSync(lib, { recursive: true });
installNode();
await Promise.all(programs.map(bundle));
