/** What a pull may prove itself with: the CRI's AuthConfig in its four forms. */

import { invalidField } from '../../errors/catalogue.ts';
import type { AuthConfig__Output } from '../../cri-server/generated/runtime/v1/AuthConfig.ts';

export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** A refresh token for the registry's token server. */
  | { readonly kind: 'identity'; readonly token: string }
  /** Sent as it is, as a bearer token. */
  | { readonly kind: 'registry'; readonly token: string };

export interface PullAuth {
  readonly credentials: Credentials;
  /** `host[:port]` that the credentials are for; empty: the reference's registry. */
  readonly serverHost: string;
}

/** Undefined for an anonymous pull. The order is containerd's: user name, identity token, auth, registry token. */
export function parseAuthConfig(auth: AuthConfig__Output | null): PullAuth | undefined {
  if (auth === null) return undefined;
  const credentials = parseCredentials(auth);
  if (credentials === undefined) return undefined;
  return { credentials, serverHost: serverHost(auth.server_address) };
}

function parseCredentials(auth: AuthConfig__Output): Credentials | undefined {
  if (auth.username !== '') return { kind: 'basic', username: auth.username, password: auth.password };
  if (auth.identity_token !== '') return { kind: 'identity', token: auth.identity_token };
  if (auth.auth !== '') return decodeBasic(auth.auth);
  if (auth.registry_token !== '') return { kind: 'registry', token: auth.registry_token };
  return undefined;
}

function decodeBasic(encoded: string): Credentials {
  const wrong = invalidField('auth.auth', 'is not the base64 form of "user:password"');
  if (!/^[A-Za-z0-9+/_-]+={0,2}\s*$/.test(encoded)) throw wrong;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon === -1) throw wrong;
  // Docker pads the password with NUL bytes on some platforms.
  return { kind: 'basic', username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/^\0+|\0+$/g, '') };
}

/** `host[:port]` of an address as Docker writes it: a host, or a URL. Throws INVALID_FIELD. */
export function serverHost(address: string): string {
  if (address === '') return '';
  const url = /^[a-z]+:\/\//i.test(address) ? address : `https://${address}`;
  if (!URL.canParse(url)) throw invalidField('auth.server_address', `"${address}" is neither a host nor a URL`);
  const { host } = new URL(url);
  return host === 'index.docker.io' || host === 'docker.io' ? 'registry-1.docker.io' : host;
}

/** The Authorization header of HTTP basic authentication. */
export function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
