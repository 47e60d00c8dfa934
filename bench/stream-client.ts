/**
 * The client of bench/streams.ts, a process of its own so that it can be started in the network where a
 * runtime serves its streams. Sends bytes through URL and reads them back; writes the seconds it took.
 *
 *   node bench/stream-client.ts exec|portforward URL BYTES CONNECTIONS
 */

import { once } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';
import { forwardOverSpdy } from '../conformance/harness/streaming/port-forward.ts';
import { overSpdy } from '../conformance/harness/streaming/remote-process.ts';

const chunk = Buffer.alloc(64 << 10, 'stream');
const forwardedPort = 8081;

async function pour(target: Writable, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= chunk.length) if (!target.write(chunk)) await once(target, 'drain');
}

async function drain(source: Readable, bytes: number): Promise<void> {
  let left = bytes;
  for await (const part of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    left -= part.length;
    if (left <= 0) return;
  }
  throw new Error(`${left} bytes are missing`);
}

async function open(kind: string, url: string, connections: number): Promise<[Writable, Readable][]> {
  if (kind === 'exec') {
    const process = await overSpdy(url, { stdin: true });
    return [[process.stdin, process.stdout]];
  }
  const session = await forwardOverSpdy(url);
  const streams: Duplex[] = [];
  while (streams.length < connections) {
    const { data } = await session.connect(forwardedPort);
    // Until it has answered: the program in the pod lets few wait to be accepted.
    data.write('!');
    await once(data, 'readable');
    data.read(1);
    streams.push(data);
  }
  return streams.map((stream) => [stream, stream]);
}

const [kind = '', url = '', bytes = '0', connections = '1'] = process.argv.slice(2);
const pairs = await open(kind, url, Number(connections));
const began = performance.now();
const share = Math.ceil(Number(bytes) / pairs.length / chunk.length) * chunk.length;
await Promise.all(pairs.flatMap(([target, source]) => [pour(target, share), drain(source, share)]));
process.stdout.write(JSON.stringify({ bytes: share * pairs.length, seconds: (performance.now() - began) / 1000 }));
process.exit(0);
