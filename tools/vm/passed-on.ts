/** What of the environment the command inside gets: where programs are, and how to write. */

const NAMES = ['PATH', 'LANG', 'LC_ALL', 'TERM', 'NO_COLOR', 'FORCE_COLOR', 'CI', 'TZ'];

export function passedOn(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found: Record<string, string> = { HOME: '/root', USER: 'root', LOGNAME: 'root', SHELL: '/bin/sh' };
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && (NAMES.includes(name) || name.startsWith('BERTH'))) found[name] = value;
  }
  // Administrators' programs (modprobe, nft, ip) have to be found, as root finds them.
  const path = (found['PATH'] ?? '').split(':').filter((directory) => directory !== '');
  for (const directory of ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']) {
    if (!path.includes(directory)) path.push(directory);
  }
  found['PATH'] = path.join(':');
  return found;
}
