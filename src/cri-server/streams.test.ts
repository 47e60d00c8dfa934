import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, loadPackageDefinition, status, type ServiceError } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import contract from './generated/contract.json' with { type: 'json' };
import type { ProtoGrpcType } from './generated/api.ts';
import type { RuntimeServiceClient } from './generated/runtime/v1/RuntimeService.ts';
import type { CriHandlers } from './handlers.ts';
import { startCriServer, type CriServer } from './server.ts';

let directory: string;
let lines: Record<string, unknown>[];
let server: CriServer | undefined;
let runtime: RuntimeServiceClient;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-streams-'));
  lines = [];
});

afterEach(async () => {
  runtime?.close();
  await server?.close(0);
  server = undefined;
  await rm(directory, { recursive: true });
});

async function start(handlers: CriHandlers): Promise<void> {
  const listen = `unix://${join(directory, 'b.sock')}`;
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  server = await startCriServer({ listen, handlers, log, metrics: new Registry() });
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
  const definition = fromJSON(contract as Parameters<typeof fromJSON>[0], options);
  const { RuntimeService } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).runtime.v1;
  runtime = new RuntimeService(`unix:${join(directory, 'b.sock')}`, credentials.createInsecure());
}

async function logged(): Promise<Record<string, unknown>> {
  await expect.poll(() => lines.length).toBeGreaterThan(0);
  return lines[0] as Record<string, unknown>;
}

describe('a stream', () => {
  test('sends what the generator yields and ends', async () => {
    await start({
      async *StreamContainers() {
        for (let i = 0; i < 1000; i += 1) yield { containers: [{ id: String(i).padStart(500, '0') }] };
      },
    });
    const ids: number[] = [];
    const stream = runtime.StreamContainers({});
    for await (const message of stream as AsyncIterable<{ containers: { id: string }[] }>) {
      ids.push(Number(message.containers[0]?.id));
    }
    expect(ids).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(await logged()).toMatchObject({ method: 'StreamContainers', code: 'OK' });
  });

  test('tells the client that it is served before there is anything to send', async () => {
    await start({
      async *GetContainerEvents(_request, { signal }) {
        await sleep(60_000, undefined, { signal });
        yield { container_id: 'never' };
      },
    });
    const stream = runtime.GetContainerEvents({});
    stream.on('error', () => undefined);
    const served = Promise.withResolvers<void>();
    stream.once('metadata', () => served.resolve());
    await served.promise;
    stream.cancel();
  });

  test('encodes a message that goes to many clients once', async () => {
    let reads = 0;
    const event = {
      get container_id() {
        reads += 1;
        return 'shared';
      },
    };
    await start({
      async *GetContainerEvents() {
        yield event;
      },
    });
    const receive = async (): Promise<unknown> => {
      for await (const message of runtime.GetContainerEvents({}) as AsyncIterable<object>) return message;
      return undefined;
    };
    expect(await receive()).toMatchObject({ container_id: 'shared' });
    const readsOfOne = reads;
    expect(await receive()).toMatchObject({ container_id: 'shared' });
    expect(readsOfOne).toBeGreaterThan(0);
    expect(reads).toBe(readsOfOne);
  });

  test('runs the generator to its finally when the client leaves', async () => {
    const over = Promise.withResolvers<void>();
    await start({
      async *GetContainerEvents(_request, { signal }) {
        try {
          yield { container_id: 'first' };
          await sleep(60_000, undefined, { signal });
        } finally {
          over.resolve();
        }
      },
    });
    const stream = runtime.GetContainerEvents({});
    stream.on('error', () => undefined);
    stream.once('data', () => stream.cancel());
    await over.promise;
    expect(await logged()).toMatchObject({ method: 'GetContainerEvents', code: 'CANCELLED' });
  });

  test('does not hold up close', async () => {
    const entered = Promise.withResolvers<void>();
    await start({
      async *GetContainerEvents(_request, { signal }) {
        entered.resolve();
        yield { container_id: 'first' };
        await sleep(60_000, undefined, { signal });
      },
    });
    const ended = Promise.withResolvers<ServiceError>();
    const stream = runtime.GetContainerEvents({});
    stream.on('error', (error: ServiceError) => ended.resolve(error));
    stream.resume();
    await entered.promise;
    await server?.close(60_000);
    expect(await ended.promise).toMatchObject({ code: status.UNAVAILABLE });
  });
});
