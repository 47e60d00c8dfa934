/** Why a session is broken off. */
export class SpdyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SpdyError';
  }
}

/** One stream was reset, by the peer or by us; the session goes on. */
export class StreamReset extends Error {
  /** Of RST_STREAM. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.name = 'StreamReset';
    this.status = status;
  }
}
