import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, loadPackageDefinition, status, type ServiceError } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BerthError } from '../errors/catalogue.ts';
import contract from './generated/contract.json' with { type: 'json' };
import type { ProtoGrpcType } from './generated/api.ts';
import type { ImageServiceClient } from './generated/runtime/v1/ImageService.ts';
import type { RuntimeServiceClient } from './generated/runtime/v1/RuntimeService.ts';
import type { CriHandlers } from './handlers.ts';
import { startCriServer, type CriServer } from './server.ts';

let directory: string;
let socketPath: string;
let lines: Record<string, unknown>[];
let metrics: Registry;
let server: CriServer | undefined;
let runtime: RuntimeServiceClient;
let images: ImageServiceClient;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-cri-'));
  socketPath = join(directory, 'b.sock');
  lines = [];
  metrics = new Registry();
});

afterEach(async () => {
  runtime?.close();
  images?.close();
  await server?.close(0);
  server = undefined;
  await rm(directory, { recursive: true });
});

async function start(handlers: CriHandlers): Promise<void> {
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  server = await startCriServer({ listen: `unix://${socketPath}`, handlers, log, metrics });
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
  const definition = fromJSON(contract as Parameters<typeof fromJSON>[0], options);
  const packages = loadPackageDefinition(definition) as unknown as ProtoGrpcType;
  const { RuntimeService, ImageService } = packages.runtime.v1;
  const limit = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
  runtime = new RuntimeService(`unix:${socketPath}`, credentials.createInsecure(), limit);
  images = new ImageService(`unix:${socketPath}`, credentials.createInsecure(), limit);
}

/** The error that a call ends with. */
async function failure(call: (callback: (error: ServiceError | null) => void) => unknown): Promise<ServiceError> {
  const { promise, resolve } = Promise.withResolvers<ServiceError | null>();
  call(resolve);
  const error = await promise;
  if (error === null) throw new Error('the call succeeded');
  return error;
}

async function logged(): Promise<Record<string, unknown>> {
  await expect.poll(() => lines.length, { timeout: 20_000 }).toBeGreaterThan(0);
  return lines[0] as Record<string, unknown>;
}

describe('a call', () => {
  test('reaches its handler and comes back whole', async () => {
    await start({
      ContainerStatus: async (request) => ({
        status: { id: request.container_id, created_at: '1795257600123456789', state: 'CONTAINER_RUNNING' },
      }),
    });
    const { promise, resolve } = Promise.withResolvers<unknown>();
    runtime.ContainerStatus({ container_id: 'abc' }, (_error, response) => resolve(response?.status));
    expect(await promise).toMatchObject({ id: 'abc', created_at: '1795257600123456789', state: 'CONTAINER_RUNNING' });
  });

  test('leaves one log line with its subject, and metrics', async () => {
    await start({ StopContainer: async () => ({}) });
    const { promise, resolve } = Promise.withResolvers<void>();
    runtime.StopContainer({ container_id: 'abc', timeout: 3 }, () => resolve());
    await promise;
    const line = await logged();
    expect(line).toMatchObject({ level: 30, method: 'StopContainer', container: 'abc', code: 'OK' });
    expect(line['requestId']).toMatch(/^[0-9a-f-]{36}$/);
    expect(line['durationMs']).toBeTypeOf('number');
    expect(lines).toHaveLength(1);
    const text = await metrics.metrics();
    expect(text).toContain('berth_grpc_requests_total{method="StopContainer",code="OK"} 1');
    expect(text).toContain('berth_grpc_request_duration_seconds_count{method="StopContainer"} 1');
    expect(text).toContain('berth_grpc_requests_in_flight{method="StopContainer"} 0');
  });

  test('that reads is logged at debug', async () => {
    await start({ Version: async () => ({ version: '0.1.0' }) });
    runtime.Version({}, () => undefined);
    expect(await logged()).toMatchObject({ level: 20, method: 'Version' });
  });

  test('never shows pull credentials in the log', async () => {
    await start({
      PullImage: async (_request, { log }) => {
        log.info('pulling');
        throw new BerthError('REGISTRY_DENIED', 'registry says no');
      },
    });
    const auth = { username: 'u', password: 'hunter2', auth: 'aHVudGVyMg==', identity_token: 'tok1', registry_token: 'tok2' };
    const error = await failure((callback) => images.PullImage({ image: { image: 'a/b:c' }, auth }, callback));
    expect(error.code).toBe(status.PERMISSION_DENIED);
    await expect.poll(() => lines.length).toBe(2);
    expect(JSON.stringify(lines)).not.toMatch(/hunter2|aHVudGVyMg|tok1|tok2/);
    expect(lines[1]).toMatchObject({ image: 'a/b:c', code: 'PERMISSION_DENIED', errorCode: 'REGISTRY_DENIED' });
  });
});

describe('a failure', () => {
  test('from the catalogue keeps its status and message, and has no stack in the log', async () => {
    await start({
      StartContainer: async () => {
        throw new BerthError('CONTAINER_NOT_FOUND', 'container abc: not found');
      },
    });
    const error = await failure((callback) => runtime.StartContainer({ container_id: 'abc' }, callback));
    expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'container abc: not found' });
    expect(await logged()).toMatchObject({ level: 40, code: 'NOT_FOUND' });
    expect(lines[0]).not.toHaveProperty('err');
  });

  test('that nobody foresaw is INTERNAL, with its stack logged once', async () => {
    await start({
      StartContainer: () => {
        throw new TypeError('half a pair \uD800');
      },
    });
    const error = await failure((callback) => runtime.StartContainer({ container_id: 'abc' }, callback));
    expect(error).toMatchObject({ code: status.INTERNAL, details: 'StartContainer: half a pair \uFFFD' });
    expect(await logged()).toMatchObject({ level: 50, err: { type: 'TypeError' } });
    expect((lines[0]?.['err'] as { stack: string } | undefined)?.stack).toContain('server.test.ts');
    expect(lines).toHaveLength(1);
  });

  test('no handler: UNIMPLEMENTED naming the method', async () => {
    await start({});
    const error = await failure((callback) => runtime.CheckpointPod({}, callback));
    expect(error.code).toBe(status.UNIMPLEMENTED);
    expect(error.details).toContain('CheckpointPod');
    const stream = runtime.GetContainerEvents({});
    const { promise, resolve } = Promise.withResolvers<ServiceError>();
    stream.on('error', (streamError: ServiceError) => resolve(streamError));
    stream.resume();
    expect(await promise).toMatchObject({ code: status.UNIMPLEMENTED });
  });

  test('a wrong field never reaches the handler', async () => {
    let reached = false;
    await start({
      ExecSync: async () => {
        reached = true;
        return {};
      },
    });
    const error = await failure((callback) => runtime.ExecSync({ container_id: 'a', cmd: ['x\0y'] }, callback));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'cmd[0]: contains a NUL character' });
    expect(reached).toBe(false);
  });

  test('an enum number that nobody knows is refused', async () => {
    await start({ RunPodSandbox: async () => ({ pod_sandbox_id: 'x' }) });
    const config = { linux: { security_context: { namespace_options: { pid: 12 as 3 } } } };
    const error = await failure((callback) => runtime.RunPodSandbox({ config }, callback));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toContain('namespace_options.pid: 12');
  });
});

describe('ending early', () => {
  test('a client that cancels aborts the signal', async () => {
    const { promise: aborted, resolve: seen } = Promise.withResolvers<unknown>();
    await start({
      StopContainer: async (_request, { signal }) => {
        call.cancel();
        await sleep(60_000, undefined, { signal }).catch((error: unknown) => {
          seen(signal.reason);
          throw error;
        });
        return {};
      },
    });
    const call = runtime.StopContainer({ container_id: 'abc' }, () => undefined);
    expect(await aborted).toMatchObject({ code: 'CANCELLED' });
    expect(await logged()).toMatchObject({ code: 'CANCELLED', errorCode: 'CANCELLED' });
  });

  test("a client's deadline ends the handler, too", async () => {
    await start({
      StopContainer: async (_request, { signal }) => {
        await sleep(60_000, undefined, { signal });
        return {};
      },
    });
    const error = await failure((callback) =>
      runtime.StopContainer({ container_id: 'abc' }, { deadline: Date.now() + 1000 }, callback),
    );
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
    // The client resets its stream at the same moment, and on a busy machine that reaches berthd first.
    expect(['DEADLINE_EXCEEDED', 'CANCELLED']).toContain((await logged())['code']);
  });

  test('the signal of a call that is over is never aborted', async () => {
    const { promise, resolve } = Promise.withResolvers<AbortSignal>();
    await start({
      StartContainer: async (_request, { signal }) => {
        resolve(signal);
        return {};
      },
    });
    const done = Promise.withResolvers<void>();
    runtime.StartContainer({ container_id: 'abc' }, () => done.resolve());
    await done.promise;
    runtime.close();
    await server?.close(0);
    expect((await promise).aborted).toBe(false);
  });

  test('close lets a running call end, refuses new ones, and takes the socket away', async () => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await start({
      StopContainer: async () => {
        entered.resolve();
        await release.promise;
        return {};
      },
      Version: async () => ({}),
    });
    const first = Promise.withResolvers<ServiceError | null>();
    runtime.StopContainer({ container_id: 'abc' }, (error) => first.resolve(error));
    await entered.promise;
    const closed = server?.close(60_000);
    const error = await failure((callback) => runtime.Version({}, callback));
    expect(error.code).toBe(status.UNAVAILABLE);
    release.resolve();
    expect(await first.promise).toBeNull();
    await closed;
    await expect(stat(socketPath)).rejects.toThrow('ENOENT');
  });

  test('close aborts what outlasts the grace', async () => {
    const entered = Promise.withResolvers<void>();
    await start({
      StopContainer: async (_request, { signal }) => {
        entered.resolve();
        await sleep(60_000, undefined, { signal });
        return {};
      },
    });
    const error = failure((callback) => runtime.StopContainer({ container_id: 'abc' }, callback));
    await entered.promise;
    await server?.close(1);
    expect(await error).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe('the socket', () => {
  test('is for owner and group', async () => {
    await start({});
    expect((await stat(socketPath)).mode & 0o777).toBe(0o660);
  });

  test('is refused to a second server while the first answers', async () => {
    await start({});
    const second = startCriServer({ listen: `unix://${socketPath}`, handlers: {}, log: pino({ level: 'silent' }), metrics: new Registry() });
    await expect(second).rejects.toMatchObject({ code: 'HOST_UNSUITABLE', message: expect.stringContaining('another server') as string });
  });

  test('left by a dead server is replaced', async () => {
    const dead = await leaveDeadSocket(socketPath);
    expect(dead.listening).toBe(false);
    await start({ Version: async () => ({ version: 'alive' }) });
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    runtime.Version({}, (_error, response) => resolve(response?.version));
    expect(await promise).toBe('alive');
  });

  test('never replaces a file of another kind', async () => {
    await writeFile(socketPath, 'precious');
    await expect(start({})).rejects.toMatchObject({ code: 'HOST_UNSUITABLE' });
    expect(await readFile(socketPath, 'utf8')).toBe('precious');
  });

  test.each(['/run/x.sock', 'tcp://127.0.0.1:1', 'unix://relative'])('%s is not an address', async (listen) => {
    const refused = startCriServer({ listen, handlers: {}, log: pino({ level: 'silent' }), metrics: new Registry() });
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

/** Binds under another name and moves the file, so that closing does not take it away. */
async function leaveDeadSocket(path: string): Promise<NetServer> {
  const { rename } = await import('node:fs/promises');
  const bound = createServer();
  await new Promise<void>((resolve) => bound.listen(`${path}.bound`, resolve));
  await rename(`${path}.bound`, path);
  await new Promise<void>((resolve) => void bound.close(() => resolve()));
  return bound;
}

describe('messages', () => {
  test('of 15 MiB pass both ways', async () => {
    const megabytes = 15 * 1024 * 1024;
    await start({
      ExecSync: async (request) => {
        if (request.cmd[0]?.length !== megabytes) throw new BerthError('INVALID_FIELD', 'cut short');
        return { stdout: Buffer.alloc(megabytes, 'x') };
      },
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    runtime.ExecSync({ container_id: 'a', cmd: ['y'.repeat(megabytes)] }, (error, response) => {
      if (error === null) resolve(response?.stdout.length ?? 0);
      else reject(error);
    });
    expect(await promise).toBe(megabytes);
  });

  test('of 17 MiB are refused', async () => {
    await start({ ExecSync: async () => ({}) });
    const error = await failure((callback) => runtime.ExecSync({ cmd: ['y'.repeat(17 * 1024 * 1024)] }, callback));
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  });
});
