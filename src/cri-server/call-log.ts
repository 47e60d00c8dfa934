/** The log line of every RPC. Requests and responses themselves are never logged: they hold secrets. */
import type { Logger } from 'pino';
import { grpcStatus, type BerthError, type GrpcStatus } from '../errors/catalogue.ts';
import { statusName } from './call-status.ts';

/** What a call was about, for people who follow one object through the log. */
export interface CallSubject {
  sandbox?: string;
  container?: string;
  image?: string;
  pod?: string;
  name?: string;
}

interface Outcome {
  readonly durationMs: number;
  readonly subject: CallSubject;
  readonly reading: boolean;
  readonly error?: BerthError;
  /** Thrown by something that the catalogue does not know; logged with its stack. */
  readonly unexpected?: unknown;
}

/** Ours to look into; the rest is the client's doing or the state of what it asked for. */
const serverFaults = new Set<GrpcStatus>([
  grpcStatus.UNKNOWN,
  grpcStatus.DEADLINE_EXCEEDED,
  grpcStatus.RESOURCE_EXHAUSTED,
  grpcStatus.INTERNAL,
  grpcStatus.UNAVAILABLE,
  grpcStatus.DATA_LOSS,
]);

/** How clients find out what is there; asked in loops. */
const routine = new Set<GrpcStatus>([grpcStatus.NOT_FOUND, grpcStatus.UNIMPLEMENTED, grpcStatus.CANCELLED]);

/** Whether somebody has to look into Berth or the machine for it. */
export function isServerFault(error: BerthError): boolean {
  return serverFaults.has(error.status);
}

export function logCall(log: Logger, outcome: Outcome): void {
  const { error, subject, unexpected } = outcome;
  const fields = { ...subject, durationMs: Math.round(outcome.durationMs * 1000) / 1000 };
  if (error === undefined) {
    const line = { ...fields, code: 'OK' };
    if (outcome.reading) log.debug(line, 'call');
    else log.info(line, 'call');
    return;
  }
  const line = {
    ...fields,
    code: statusName(error.status),
    errorCode: error.code,
    error: error.message,
    ...(unexpected !== undefined && { err: unexpected }),
  };
  if (isServerFault(error)) log.error(line, 'call failed');
  else if (outcome.reading && routine.has(error.status)) log.debug(line, 'call failed');
  else log.warn(line, 'call failed');
}

/** Adds the ids and names that a request or response carries to `subject`; what is there stays. */
export function noteSubject(subject: CallSubject, message: object): void {
  const { pod_sandbox_id, container_id, image, config } = message as Readonly<Record<string, unknown>>;
  note(subject, 'sandbox', pod_sandbox_id);
  note(subject, 'container', container_id);
  if (isRecord(image)) note(subject, 'image', image['image']);
  const metadata = isRecord(config) ? config['metadata'] : undefined;
  if (!isRecord(metadata)) return;
  if ('namespace' in metadata) note(subject, 'pod', `${String(metadata['namespace'])}/${String(metadata['name'])}`);
  else note(subject, 'name', metadata['name']);
}

function note(subject: CallSubject, key: keyof CallSubject, value: unknown): void {
  if (typeof value === 'string' && value !== '') subject[key] ??= value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
