/**
 * The HTTP endpoint for Prometheus: /metrics, and /healthz for a load balancer or a human.
 *
 *   const endpoint = await startMetricsServer({ address: config.metricsAddress, registry, healthy, log });
 *   endpoint?.address        // host:port as bound
 *   await endpoint?.close();
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { BerthError, wrapError } from '../errors/catalogue.ts';

export interface MetricsServerOptions {
  /** `host:port`, an IPv6 host in brackets; empty for no endpoint. */
  readonly address: string;
  readonly registry: Registry;
  /** Undefined when all is well, else what is wrong. Answers from memory. */
  readonly problem: () => string | undefined;
  readonly log: Logger;
}

export interface MetricsServer {
  readonly address: string;
  close(): Promise<void>;
}

export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer | undefined> {
  if (options.address === '') return undefined;
  const { host, port } = splitAddress(options.address);
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      options.log.error({ err: error }, 'metrics request failed');
      response.destroy();
    });
  });
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  try {
    await listening;
  } catch (cause) {
    throw wrapError(`listen for metrics on ${options.address}`, cause, 'HOST_UNSUITABLE');
  }
  const bound = server.address() as AddressInfo;
  const address = bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
  options.log.info({ address }, 'metrics endpoint');
  return {
    address,
    async close() {
      server.closeAllConnections();
      await server[Symbol.asyncDispose]();
    },
  };
}

function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new BerthError('CONFIG_INVALID', `metrics_address: ${address} is not host:port`);
  return { host: match[1] ?? match[2] ?? '', port };
}

async function answer(options: MetricsServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url?.split('?')[0];
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(response, 405, 'only GET\n');
  if (path === '/healthz') {
    const problem = options.problem();
    return problem === undefined ? reply(response, 200, 'ok\n') : reply(response, 503, `${problem}\n`);
  }
  if (path !== '/metrics') return reply(response, 404, 'there are /metrics and /healthz\n');
  reply(response, 200, await options.registry.metrics(), options.registry.contentType);
}

function reply(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
