/** What pulls and pushes that can be watched have in common. */

import { setTimeout as sleep } from 'node:timers/promises';
import { invalidField } from '../../errors/catalogue.ts';
import type { PullAuth } from '../registry/credentials.ts';

/** Ten pictures a second are as many as a person sees. */
const interval = 100;

/** Pictures that differ from the one before, until the work is over, however it ends. Rejects when `signal` is aborted. */
export async function* pictures<Picture extends object>(work: Promise<unknown>, picture: () => Picture, signal: AbortSignal): AsyncGenerator<Picture, void, undefined> {
  const over = work.then(
    () => true,
    () => true,
  );
  for (let last = ''; !(await Promise.race([over, sleep(interval, false, { signal })])); ) {
    const current = picture();
    const text = JSON.stringify(current);
    if (text !== last) yield current;
    last = text;
  }
}

/** Undefined: none were given. */
export function authOf({ username, password }: { readonly username: string; readonly password: string }): PullAuth | undefined {
  if ((username === '') !== (password === '')) throw invalidField(username === '' ? 'username' : 'password', 'is empty; give both or none');
  return username === '' ? undefined : { credentials: { kind: 'basic', username, password }, serverHost: '' };
}
