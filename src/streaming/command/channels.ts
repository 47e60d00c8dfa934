import type { Readable, Writable } from 'node:stream';
import type { CommandStatus } from './status.ts';

/** A client's streams, whatever they travel on. Absent are those that were not asked for. */
export interface CommandChannels {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  readonly resize: Readable | undefined;
  /** After all output is written: tells how it ended and closes the connection in order. */
  finish(status: CommandStatus): void;
}
