/** `--user NAME:PASSWORD` as the requests of berthd have it. */

export function loginOf(flags: Readonly<Record<string, string | boolean | undefined>>): { readonly username: string; readonly password: string } {
  const login = typeof flags['user'] === 'string' ? flags['user'] : '';
  const colon = login.indexOf(':');
  return colon === -1 ? { username: login, password: '' } : { username: login.slice(0, colon), password: login.slice(colon + 1) };
}
