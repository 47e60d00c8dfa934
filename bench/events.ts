/**
 * GetContainerEvents under load, over real sockets: `node bench/events.ts --subscribers 100 --events 10000`. A server
 * process publishes; every subscriber has a connection of its own, and one of them stops reading at once. Ends with 1 when a
 * subscriber misses an event, sees one twice or out of order.
 */

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, credentials } from '@grpc/grpc-js';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { serviceDefinition } from '../src/cri-server/contract.ts';

/** Events that may be under way to the slowest of those who read: far below what the hub keeps for one. */
const WINDOW = 500;
const PACED_EVENTS = 200;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({
  options: { subscribers: { type: 'string', default: '100' }, events: { type: 'string', default: '10000' } },
});

interface Subscriber {
  seen: number;
  wrong: number;
  readonly delays: number[];
  readonly stream: ClientReadableStream<object>;
  readonly client: Client;
}

interface Figures {
  readonly dropped: number;
  readonly heapBytes: number;
  readonly processorSeconds: number;
}

function subscribe(socket: string, reads: boolean): Subscriber {
  // Without a pool of its own, a client would share the connection of the others.
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const method = serviceDefinition('RuntimeService')['GetContainerEvents'];
  if (method === undefined) throw new Error('the contract has no events');
  const deserialize = method.responseDeserialize as (bytes: Buffer) => object;
  const stream = client.makeServerStreamRequest(method.path, method.requestSerialize, deserialize, {});
  const subscriber: Subscriber = { seen: 0, wrong: 0, delays: [], stream, client };
  stream.on('error', () => undefined);
  if (reads) stream.on('data', (event: { container_id: string; created_at: string }) => take(subscriber, event));
  // It has to read once: before that, this client's library takes in whatever comes.
  else stream.once('data', () => stream.pause());
  return subscriber;
}

function take(subscriber: Subscriber, event: { container_id: string; created_at: string }): void {
  if (Number(event.container_id) !== subscriber.seen) subscriber.wrong += 1;
  subscriber.seen += 1;
  subscriber.delays.push(Number(process.hrtime.bigint() - BigInt(event.created_at)) / 1e6);
}

async function ask<T>(server: ChildProcess, message: object): Promise<T> {
  server.send(message);
  const [answer] = (await once(server, 'message')) as [T];
  return answer;
}

function pss(pid: number): number {
  return Number(/^Pss:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
}

const at = (values: number[], share: number): string => (values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN).toFixed(1);

/** As fast as those who read can take them. */
async function burst(server: ChildProcess, readers: readonly Subscriber[], count: number): Promise<void> {
  const began = performance.now();
  const slowest = (): number => Math.min(...readers.map(({ seen }) => seen));
  let mostMemory = 0;
  const before = slowest();
  for (let published = 0; slowest() - before < count; ) {
    const more = Math.min(100, count - published);
    if (more > 0 && published - (slowest() - before) <= WINDOW - more) {
      await ask(server, { publish: more });
      published += more;
      mostMemory = Math.max(mostMemory, pss(server.pid ?? 0));
    } else await sleep(1);
  }
  const seconds = (performance.now() - began) / 1000;
  say(`burst: ${count} events to ${readers.length} readers in ${seconds.toFixed(1)} s, ${Math.round((count * readers.length) / seconds)} deliveries/s; server at most ${mostMemory.toFixed(0)} MiB PSS`);
}

/** One event at a time: how long it takes to reach everybody. */
async function paced(server: ChildProcess, readers: readonly Subscriber[], what: string): Promise<void> {
  for (const { delays } of readers) delays.length = 0;
  for (let number = 0; number < PACED_EVENTS; number += 1) {
    await ask(server, { publish: 1 });
    await sleep(20);
  }
  await sleep(200);
  const delays = readers.flatMap((reader) => reader.delays);
  say(`${what}: an event reaches a reader after ${at(delays, 0.5)} ms (p50), ${at(delays, 0.99)} ms (p99)`);
}

async function bench(): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'berth-events-'));
  const socket = path.join(directory, 'b.sock');
  const server = fork(fileURLToPath(new URL('events-server.ts', import.meta.url)), [socket], { execArgv: ['--max-semi-space-size=1', '--optimize-for-size'] });
  try {
    await once(server, 'message');
    const readers = Array.from({ length: Number(options.subscribers) - 1 }, () => subscribe(socket, true));
    await Promise.all(readers.map(({ stream }) => once(stream, 'metadata')));
    say(`${options.subscribers} subscribers; server ${pss(server.pid ?? 0).toFixed(0)} MiB PSS before the first event`);
    await paced(server, readers, 'all read');
    const deaf = subscribe(socket, false);
    await once(deaf.stream, 'metadata');
    await paced(server, readers, 'one has stopped reading');
    await burst(server, readers, Number(options.events));
    await paced(server, readers, 'afterwards');
    const figures = await ask<Figures>(server, { figures: true });
    const expected = Number(options.events) + 3 * PACED_EVENTS;
    const bad = readers.filter(({ seen, wrong }) => seen !== expected || wrong > 0).length;
    say(`${bad} of ${readers.length} readers missed an event or had them out of order`);
    say(`server: ${figures.dropped} drops counted, heap ${(figures.heapBytes / 2 ** 20).toFixed(1)} MiB after a collection, ${figures.processorSeconds.toFixed(1)} s of processor time`);
    for (const { stream, client } of [...readers, deaf]) {
      stream.cancel();
      client.close();
    }
    return bad === 0 && figures.dropped > 0 ? 0 : 1;
  } finally {
    server.kill();
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await bench();
