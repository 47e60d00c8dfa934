/** One registry server that may be asked for an image: the registry itself or a mirror of it. */

export type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

export const allCapabilities: ReadonlySet<Capability> = new Set(['pull', 'resolve', 'push', 'referrers']);

export interface TlsFiles {
  /** Absolute paths of PEM files that are trusted beside the system's. */
  readonly ca: readonly string[];
  /** Client certificates; the key is in the certificate's file where `key` is undefined. */
  readonly client: readonly { readonly cert: string; readonly key: string | undefined }[];
  readonly skipVerify: boolean;
}

export interface Endpoint {
  /** `https://host[:port]` or `http://host[:port]`. */
  readonly origin: string;
  /** `host[:port]` as written in the origin. */
  readonly host: string;
  /** What comes before `/REPOSITORY/manifests/…`; `/v2` unless the file overrides it. */
  readonly basePath: string;
  readonly capabilities: ReadonlySet<Capability>;
  /** Sent with every request to this origin and to no other. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly tls: TlsFiles;
  /** Milliseconds for TCP and TLS. */
  readonly dialTimeout: number;
  /** Not the registry's own address: told by `?ns=` which registry is meant. */
  readonly isMirror: boolean;
  /**
   * The pull's credentials may be sent here when the server asks. True for the registry itself and
   * for what the administrator named for this registry; false for mirrors from `_default`, which
   * stand in for every registry and so for every tenant's credentials.
   */
  readonly trustedWithCredentials: boolean;
}

export const defaultDialTimeout = 30_000;

export const noTlsFiles: TlsFiles = { ca: [], client: [], skipVerify: false };
