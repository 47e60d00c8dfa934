import type { CallContext } from '../telemetry/call-context.ts';

/**
 * Logs the failure of work that went on after its caller had left: the call itself ended earlier, with the caller's
 * going, and nobody else would say why the object is not there. Rejects as `work` does.
 */
export async function withCallerLost<T>(context: Pick<CallContext, 'signal' | 'log'>, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    if (context.signal.aborted) context.log.warn({ err }, `${what} failed after its caller had left`);
    throw err;
  }
}
