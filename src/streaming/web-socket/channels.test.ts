import { EventEmitter, once } from 'node:events';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { WebSocketChannels } from './channels.ts';

/** Emits what a test gives it also while it is paused, as a WebSocket does with the rest of what it has read. */
class Connection extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  isPaused = false;
  readonly closedWith: number[] = [];

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  send(_message: unknown, _options: unknown, done: () => void): void {
    done();
  }

  ping(_data: unknown, _mask: unknown, done: () => void): void {
    done();
  }

  close(code: number): void {
    this.closedWith.push(code);
  }
}

const message = (channel: number, bytes: number): Buffer => Buffer.concat([Buffer.from([channel]), Buffer.alloc(bytes, 7)]);

function connected(): { connection: Connection; channels: WebSocketChannels } {
  const connection = new Connection();
  return { connection, channels: new WebSocketChannels(connection as unknown as WebSocket, { codec: 'binary', channels: 5, closeSignals: true }) };
}

test('a channel that nobody reads stops the connection, and goes on with it when it is read', async () => {
  const { connection, channels } = connected();
  connection.emit('message', message(0, 1 << 20));
  expect(connection.isPaused).toBe(true);
  channels.channel(0).resume();
  await expect.poll(() => connection.isPaused).toBe(false);
});

test('a channel that is closed while nobody reads it does not keep the connection stopped', async () => {
  const { connection, channels } = connected();
  connection.emit('message', message(0, 1 << 20));
  connection.emit('message', Buffer.from([255, 0]));
  const read: number[] = [];
  channels.channel(0).on('data', (chunk: Buffer) => read.push(chunk.length));
  await once(channels.channel(0), 'end');
  expect(read).toEqual([1 << 20]);
  expect(connection.isPaused).toBe(false);
});

test('at the end the connection is read, so that the other side\'s closing is seen, and what comes is dropped', () => {
  const { connection, channels } = connected();
  connection.emit('message', message(0, 1 << 20));
  channels.end();
  expect(connection).toMatchObject({ isPaused: false, closedWith: [1000] });
  connection.emit('message', message(0, 1 << 20));
  expect(connection.isPaused).toBe(false);
  expect(channels.channel(0).readableLength).toBe(1 << 20);
});
