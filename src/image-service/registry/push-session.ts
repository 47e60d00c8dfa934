/** Which endpoint a push goes to, and what it proves itself with. */

import { formatReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import type { PullAuth } from './credentials.ts';
import { readAuthFile } from './docker-auth.ts';
import { readEndpoints } from './hosts.ts';
import { PushClient } from './push-client.ts';
import { allFailed } from './session.ts';
import type { SessionOptions } from './session.ts';

/**
 * The first endpoint that the mirror file lets push. Others are not tried when it fails: an image that is pushed to
 * one of two servers, and nobody knows to which, is worse than none. Throws CONFIG_INVALID where there is none.
 */
export async function openPushClient(
  destination: ImageReference,
  auth: PullAuth | undefined,
  options: SessionOptions,
  signal: AbortSignal,
): Promise<PushClient> {
  const endpoints = await readEndpoints(options, destination.domain, signal);
  const endpoint = endpoints.find(({ capabilities }) => capabilities.has('push'));
  if (endpoint === undefined) throw allFailed([], formatReference(destination), 'push');
  const file = auth === undefined && options.authFile !== '' ? await readAuthFile(options.authFile, signal) : undefined;
  const own = auth ?? (await file?.credentials(endpoint.host, signal));
  return new PushClient(endpoint, destination, own, { ...options, hasAlternative: false });
}
