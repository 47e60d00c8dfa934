/** Debian's docker-registry as a child process with storage of its own. */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { PushTarget } from './push.ts';

export type RegistryAuth =
  | { readonly kind: 'none' }
  /** User and password are REGISTRY_USER and REGISTRY_PASSWORD. */
  | { readonly kind: 'basic' }
  | { readonly kind: 'token'; readonly realm: string; readonly service: string; readonly issuer: string; readonly certificate: string };

export const REGISTRY_USER = 'berth';
export const REGISTRY_PASSWORD = 'open sesame';
/** bcrypt of REGISTRY_PASSWORD, cost 5: docker-registry takes nothing else. */
const HTPASSWD = 'berth:$2b$05$88ExqJk8Thw4A8nE4ae.PeXorNk.qnudM/OpIf00RK8t5tTdXW7fK\n';

export const BASIC_AUTHORIZATION = `Basic ${Buffer.from(`${REGISTRY_USER}:${REGISTRY_PASSWORD}`).toString('base64')}`;

export interface Registry extends PushTarget {
  /** `127.0.0.1:PORT`, the host part of references. */
  readonly host: string;
  readonly pid: number;
  /** The directory with its content. */
  readonly storage: string;
  readonly log: readonly string[];
  stop(): Promise<void>;
}

export interface RegistryTls {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

/** `storage` serves a directory that is already filled, and leaves it as it is. With `tls` it speaks nothing else. */
export async function startRegistry(auth: RegistryAuth = { kind: 'none' }, storage?: string, tls?: RegistryTls): Promise<Registry> {
  const directory = await mkdtemp(path.join(tmpdir(), 'berth-registry-'));
  const configFile = path.join(directory, 'config.json');
  // YAML is a superset of JSON.
  await writeFile(configFile, JSON.stringify(await configuration(directory, auth, storage, tls)));
  const child = spawn('docker-registry', ['serve', configFile], { stdio: ['ignore', 'pipe', 'pipe'], cwd: directory });
  const log: string[] = [];
  try {
    const host = await listening(child, log);
    return {
      host,
      url: `${tls === undefined ? 'http' : 'https'}://${host}`,
      storage: storage ?? path.join(directory, 'storage'),
      pid: child.pid ?? 0,
      log,
      ...(auth.kind === 'basic' ? { authorization: BASIC_AUTHORIZATION } : {}),
      stop: async () => {
        await ended(child);
        await rm(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await ended(child);
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

async function configuration(directory: string, auth: RegistryAuth, storage: string | undefined, tls: RegistryTls | undefined): Promise<object> {
  return {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: false } },
    storage: {
      filesystem: { rootdirectory: storage ?? path.join(directory, 'storage') },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false }, readonly: { enabled: storage !== undefined } },
    },
    // Layers that only their owner hands out are named with where that is.
    validation: { manifests: { urls: { allow: ['^https?://'] } } },
    http: { addr: '127.0.0.1:0', ...(tls === undefined ? {} : { tls: { certificate: tls.certificate, key: tls.key } }) },
    ...(await authSection(directory, auth)),
  };
}

async function authSection(directory: string, auth: RegistryAuth): Promise<object> {
  if (auth.kind === 'basic') {
    const htpasswd = path.join(directory, 'htpasswd');
    await writeFile(htpasswd, HTPASSWD);
    return { auth: { htpasswd: { realm: 'berth', path: htpasswd } } };
  }
  if (auth.kind === 'token') {
    const rootcertbundle = path.join(directory, 'token.pem');
    await writeFile(rootcertbundle, auth.certificate);
    return { auth: { token: { realm: auth.realm, service: auth.service, issuer: auth.issuer, rootcertbundle } } };
  }
  return {};
}

/** docker-registry logs the address that it really listens on. */
function listening(child: ChildProcess, log: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const onLine = (line: string): void => {
      log.push(line);
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    };
    for (const stream of [child.stdout, child.stderr]) if (stream !== null) createInterface(stream).on('line', onLine);
    child.once('error', (error) => reject(new Error(`docker-registry does not start: ${error.message}`)));
    child.once('exit', (code) => reject(new Error(`docker-registry ended with ${code}:\n${log.join('\n')}`)));
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
