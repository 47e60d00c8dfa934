/**
 * Whom connections trust and what they show. To read the authorities of a system into a TLS context takes many
 * milliseconds, in which nothing else goes on, so contexts are kept and shared by all connections that need the same.
 */

import { X509Certificate } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import { digestOf } from '../digest.ts';

/** Paths of PEM files. */
export interface TrustMaterial {
  /** Trusted beside what the system trusts. */
  readonly ca: readonly string[];
  /** A file without a key holds both. */
  readonly client: readonly { readonly cert: string; readonly key?: string | undefined }[];
}

export interface SystemTrust {
  /** The first that can be read counts. */
  readonly bundles: readonly string[];
  /** All files of all of these count. */
  readonly directories: readonly string[];
}

/** Where distributions keep what they trust, in the order in which Go's crypto/x509 looks, as other runtimes do. */
const knownPlaces: SystemTrust = {
  bundles: [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/ca-bundle.pem',
    '/etc/pki/tls/cacert.pem',
    '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    '/etc/ssl/cert.pem',
  ],
  directories: ['/etc/ssl/certs', '/etc/pki/tls/certs'],
};

/** SSL_CERT_FILE and SSL_CERT_DIR, whose directories are separated by colons, take the place of the known ones. */
export function systemTrust(environment: Readonly<Record<string, string | undefined>>): SystemTrust {
  const { SSL_CERT_FILE: file = '', SSL_CERT_DIR: directories = '' } = environment;
  return {
    bundles: file === '' ? knownPlaces.bundles : [file],
    directories: directories === '' ? knownPlaces.directories : directories.split(':').filter((path) => path !== ''),
  };
}

/** Contexts of that many different materials are kept. */
const maxContexts = 32;

const certificate = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

interface Authorities {
  /** Tells whether the files are still the same. */
  readonly stamp: string;
  readonly certificates: readonly string[];
}

export class TrustStore {
  readonly #system: SystemTrust;
  #authorities: Authorities | undefined;
  /** By a digest of everything that went in: there may be private keys in it. */
  readonly #contexts = new Map<string, SecureContext>();

  constructor(system: SystemTrust) {
    this.#system = system;
  }

  /** Files that have changed count from the next call on. Throws CONFIG_INVALID naming a file that cannot be used. */
  async context({ ca, client }: TrustMaterial): Promise<SecureContext> {
    const { stamp, certificates } = await this.#trusted();
    const own = (await Promise.all(ca.map(readAuthorities))).flat();
    const shown = await Promise.all(client.map(async ({ cert, key }) => ({ cert: await readPem(cert), key: await readPem(key ?? cert) })));
    const contents = digestOf(Buffer.from(JSON.stringify([stamp, own, shown])));
    const known = this.#contexts.get(contents);
    if (known !== undefined) return known;
    const files = [...ca, ...client.flatMap(({ cert, key }) => (key === undefined ? [cert] : [cert, key]))];
    const context = contextOf({ ca: [...certificates, ...own], cert: shown.map(({ cert }) => cert), key: shown.map(({ key }) => key) }, files);
    this.#contexts.set(contents, context);
    const [oldest] = this.#contexts.keys();
    if (this.#contexts.size > maxContexts && oldest !== undefined) this.#contexts.delete(oldest);
    return context;
  }

  /** What the operating system trusts; Node's own list where it says nothing. */
  async #trusted(): Promise<Authorities> {
    const { bundles, directories } = this.#system;
    const stamps = await Promise.all([...bundles, ...directories].map(stampOf));
    const stamp = stamps.join(' ');
    if (this.#authorities?.stamp === stamp) return this.#authorities;
    const bundle = bundles[stamps.findIndex((each) => each !== '')];
    const entries = await Promise.all(directories.map((directory) => readdir(directory).then((names) => names.map((name) => join(directory, name)), () => [])));
    const texts = await Promise.all([...(bundle === undefined ? [] : [bundle]), ...entries.flat()].map((path) => readFile(path, 'latin1').catch(() => '')));
    // Most are there several times: in the bundle, in a file of its own, and under the hash of its name.
    const found = new Set(texts.flatMap((text) => text.match(certificate) ?? []));
    this.#authorities = { stamp, certificates: found.size === 0 ? rootCertificates : [...found] };
    return this.#authorities;
  }
}

async function stampOf(path: string): Promise<string> {
  return stat(path).then(({ ino, mtimeMs, size }) => `${ino}:${mtimeMs}:${size}`, () => '');
}

function contextOf(options: { ca: string[]; cert: string[]; key: string[] }, files: readonly string[]): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('CONFIG_INVALID', `of the certificates and keys in ${files.join(', ')} not all can be used: ${reason}`, { cause });
  }
}

/** TLS itself passes over what is no certificate without a word. */
async function readAuthorities(path: string): Promise<readonly string[]> {
  const found = (await readPem(path)).match(certificate) ?? [];
  try {
    for (const each of found) new X509Certificate(each);
  } catch (cause) {
    throw new BerthError('CONFIG_INVALID', `${path} holds a certificate that cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (found.length === 0) throw new BerthError('CONFIG_INVALID', `${path} holds no certificate in PEM form`);
  return found;
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw wrapError(`read the certificate file ${path}`, cause, 'CONFIG_INVALID');
  }
}
