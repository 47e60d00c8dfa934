/** What overlayfs can do in the directory of the layers: each option is tried, in a mount namespace of its own. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { optional, type Check } from './check.ts';

const run = promisify(execFile);

/** By Documentation/filesystems/overlayfs.rst. */
const options: readonly { readonly option: string; readonly name: string; readonly cost: string }[] = [
  { option: 'volatile', name: 'overlay volatile', cost: 'every fsync of a container goes to the disk, and its start waits for it' },
  { option: 'redirect_dir=on', name: 'overlay redirect_dir', cost: "a rename of a directory of the image fails with EXDEV, and programs copy it instead" },
  { option: 'metacopy=on', name: 'overlay metacopy', cost: "a chown or chmod of a file of the image copies it whole into the writable layer" },
  { option: 'userxattr', name: 'overlay userxattr', cost: 'no overlay can be mounted inside a user namespace' },
];

/** Mounts once with each option that is given behind the directory, and says which of them worked. */
const script = [
  'cd "$1" || exit 1; shift',
  'mkdir l u w m || exit 1',
  'for option in "$@"; do',
  '  if mount -t overlay -o "lowerdir=l,upperdir=u,workdir=w,$option" o m 2>/dev/null; then echo "$option"; umount m; fi',
  '  rm -rf u w; mkdir u w',
  'done',
].join('\n');

/** `place` is an empty directory on the file system of the layers; the caller removes it. */
export async function overlayFeatureChecks(place: string): Promise<Check[]> {
  const arguments_ = ['--mount', '--', 'sh', '-c', script, 'sh', place, ...options.map(({ option }) => option)];
  const worked = await run('unshare', arguments_).then(({ stdout }) => stdout.split('\n'), () => []);
  return judgeOverlay(worked);
}

export function judgeOverlay(worked: readonly string[]): Check[] {
  return options.map(({ option, name, cost }) => {
    const works = worked.includes(option);
    return optional({ area: 'kernel', name, found: works ? 'works' : 'refused' }, works, cost);
  });
}
