import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { wrapError } from '../errors/catalogue.ts';
import { BerthError } from '../errors/catalogue.ts';
import { generateCertificate } from './certificate.ts';
import type { KeyAndCertificate } from './certificate.ts';

export interface StreamTls {
  /** Paths of PEM files; both empty: a certificate is generated. */
  readonly certificate: string;
  readonly key: string;
}

export interface ListenOptions {
  /** `host:port`, an IPv6 host in brackets; port 0 for a free one. */
  readonly address: string;
  /** Undefined: plain HTTP. */
  readonly tls: StreamTls | undefined;
}

export interface Listening {
  readonly server: Server;
  /** Where clients on this machine reach it: `http://127.0.0.1:41234`. */
  readonly url: string;
}

/** A client has this long for its request, in ms. */
const requestPatience = 10_000;

/** Throws CONFIG_INVALID and HOST_UNSUITABLE. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const { host, port } = splitAddress(options.address);
  const limits = { headersTimeout: requestPatience, requestTimeout: requestPatience, connectionsCheckingInterval: requestPatience / 2, keepAliveTimeout: 1 };
  const server = options.tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...(await keyAndCertificate(options.tls, host)) });
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  try {
    await listening;
  } catch (cause) {
    throw wrapError(`listen for streams on ${options.address}`, cause, 'HOST_UNSUITABLE');
  }
  const bound = server.address() as AddressInfo;
  return { server, url: `${options.tls === undefined ? 'http' : 'https'}://${reachable(host, bound)}:${bound.port}` };
}

/** Whoever has the URL has it from the CRI socket, and so is on this machine: the wildcard address becomes loopback. */
function reachable(host: string, bound: AddressInfo): string {
  const wildcard = bound.address === '0.0.0.0' || bound.address === '::';
  if (wildcard) return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

async function keyAndCertificate(tls: StreamTls, host: string): Promise<KeyAndCertificate> {
  if (tls.certificate === '' && tls.key === '') return generateCertificate(host, new Date());
  if (tls.certificate === '' || tls.key === '') {
    throw new BerthError('CONFIG_INVALID', 'stream.tls_certificate and stream.tls_key: give both, or none for a generated certificate');
  }
  const read = async (setting: string, path: string): Promise<string> => {
    try {
      return await readFile(path, 'utf8');
    } catch (cause) {
      throw wrapError(setting, cause, 'CONFIG_INVALID');
    }
  };
  return { cert: await read('stream.tls_certificate', tls.certificate), key: await read('stream.tls_key', tls.key) };
}

function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new BerthError('CONFIG_INVALID', `stream_address: ${address} is not host:port`);
  return { host: match[1] ?? match[2] ?? '', port };
}
