/** What a container's process is and sees, as a script inside tells it, in a form that two runs can be compared in. */

import { readlinkSync } from 'node:fs';

/** Part → lines. */
export type Findings = ReadonlyMap<string, readonly string[]>;

const mark = '=====';

/** Prints parts, each under a line with its name. Takes nothing but busybox. */
export const probeScript = [
  `part() { echo "${mark}$1"; }`,
  'part status; cat /proc/self/status',
  'part limits; cat /proc/self/limits',
  'part mounts; cat /proc/self/mountinfo',
  'part namespaces; for n in cgroup ipc mnt net pid user uts time; do echo "$n $(readlink /proc/self/ns/$n)"; done',
  'part devices; find /dev -path /dev/pts -prune -o -path /dev/mqueue -prune -o -path /dev/shm -prune -o -exec stat -c "%n %F %a %u:%g %t:%T %N" {} +',
  'part cgroup; cat /proc/self/cgroup',
  'part environment; env',
  'part umask; umask',
  'part directory; pwd -P',
  'part hostname; hostname',
  'part oom; cat /proc/self/oom_score_adj',
  'part descriptors; for f in /proc/$$/fd/*; do n=${f##*/}; echo "$n"; done',
  'part masks; for p in /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware /proc/acpi /proc/sys /proc/sysrq-trigger; do [ -e $p ] && stat -c "%n %F %a" $p; done; true',
  'part root; ls -ld / /dev /proc /sys /tmp | while read m l u g rest; do echo "$m $u $g ${rest##* }"; done',
].join('\n');

const statusFields = new Set([
  'Umask', 'Uid', 'Gid', 'Groups', 'SigBlk', 'SigIgn', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters',
  'Speculation_Store_Bypass', 'SpeculationIndirectBranch',
]);

export function parseFindings(output: string): Findings {
  const found = new Map<string, string[]>();
  for (const section of output.split(mark).slice(1)) {
    const [name = '', ...lines] = section.trimEnd().split('\n');
    found.set(name, (normal[name] ?? ((all) => all))(lines));
  }
  return found;
}

const normal: Readonly<Record<string, (lines: string[]) => string[]>> = {
  status: (lines) => lines.filter((line) => statusFields.has(line.split(':')[0] ?? '')).map((line) => line.replaceAll(/\s+/g, ' ').trim()),
  // The name of a namespace differs from run to run; whether it is the machine's does not.
  namespaces: (lines) =>
    lines.map((line) => {
      const [type = '', link] = line.split(' ');
      return `${type} ${link === readlinkSync(`/proc/self/ns/${type}`) ? 'of the host' : 'its own'}`;
    }),
  mounts: (lines) => lines.map(mountLine),
  devices: (lines) => lines.map((line) => line.replace(/ '([^']*)'( -> '([^']*)')?$/, (_, __, ___, to?: string) => (to === undefined ? '' : ` -> ${to}`))).sort(),
  // Of version 2, which is Berth's; the names of the two are the test's own choice.
  cgroup: (lines) => lines.filter((line) => line.startsWith('0::')).map((line) => line.replace(/berth-conformance-[\w.-]+/, 'CGROUP')),
  environment: (lines) => lines.toSorted(),
  umask: (lines) => lines,
};

/** "path | file system | mount options | super options | propagation", without device and mount numbers. */
function mountLine(line: string): string {
  const [left = '', right = ''] = line.split(' - ');
  const [, , , from = '', at = '', options = '', ...optional] = left.split(' ');
  const [type = '', , superOptions = ''] = right.split(' ');
  const propagation = optional.map((field) => field.split(':')[0]).join(',') || 'private';
  const root = at === '/' || from === '/' || from.includes('berth-oci-') ? '' : ` of ${from}`;
  return `${at}${root} | ${at === '/' ? 'root' : type} | ${options} | ${at === '/' ? '' : withoutSizes(superOptions)} | ${propagation}`;
}

/** What a file system of the host happens to be mounted with says nothing of the container. */
function withoutSizes(options: string): string {
  return options.split(',').filter((option) => !/^(inode64|nr_inodes=.*|lowerdir=.*|upperdir=.*|workdir=.*|uuid=.*|errors=.*|discard|stripe=.*|data=.*)$/.test(option)).join(',');
}
