/** Which traces are kept (OpenTelemetry specification, "SDK environment variables", OTEL_TRACES_SAMPLER). */
import { BerthError } from '../../errors/catalogue.ts';
import type { TraceContext } from './trace-context.ts';

export type Sampler = (parent: TraceContext | undefined, traceId: string) => boolean;

/** Throws CONFIG_INVALID for a sampler or an argument that is not known. */
export function samplerOf(name: string, argument: string): Sampler {
  const root = /^(?:parentbased_)?(always_on|always_off|traceidratio)$/.exec(name)?.[1];
  if (root === undefined) throw new BerthError('CONFIG_INVALID', `OTEL_TRACES_SAMPLER: there is no sampler "${name}" here`);
  const atRoot = rootSampler(root, argument);
  if (!name.startsWith('parentbased_')) return (_, traceId) => atRoot(traceId);
  return (parent, traceId) => (parent === undefined ? atRoot(traceId) : parent.sampled);
}

function rootSampler(name: string, argument: string): (traceId: string) => boolean {
  if (name === 'always_on') return () => true;
  if (name === 'always_off') return () => false;
  const ratio = argument === '' ? 1 : Number(argument);
  if (!(ratio >= 0 && ratio <= 1)) throw new BerthError('CONFIG_INVALID', `OTEL_TRACES_SAMPLER_ARG: "${argument}" is not a number from 0 to 1`);
  // Every process that sees a trace decides alike: by its id.
  const bound = Math.floor(ratio * 2 ** 48);
  return (traceId) => Number.parseInt(traceId.slice(-12), 16) < bound;
}
