/** Tracing's settings: OpenTelemetry's standard environment variables. */
import { BerthError } from '../../errors/catalogue.ts';
import { samplerOf } from './sampler.ts';
import type { Sampler } from './sampler.ts';

export interface TracingSettings {
  /** Where traces are posted to. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** For one request, in ms. */
  readonly timeout: number;
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: Sampler;
  /** Spans that may wait, that go out at once, and how long they wait for others, in ms. */
  readonly batch: { readonly queue: number; readonly size: number; readonly delay: number };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined when nothing says where traces go, or that there are to be none. Throws CONFIG_INVALID, naming the variable. */
export function tracingSettings(environment: Environment, version: string): TracingSettings | undefined {
  // "Environment variables with an empty value are treated as unset."
  const value = (name: string): string => environment[name]?.trim() ?? '';
  const url = endpoint(value);
  if (url === undefined || value('OTEL_SDK_DISABLED').toLowerCase() === 'true' || value('OTEL_TRACES_EXPORTER') === 'none') return undefined;
  requireHttp(value('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') || value('OTEL_EXPORTER_OTLP_PROTOCOL'));
  const attributes = pairs('OTEL_RESOURCE_ATTRIBUTES', value('OTEL_RESOURCE_ATTRIBUTES'));
  const name = value('OTEL_SERVICE_NAME') || attributes['service.name'] || 'berthd';
  const timeout = value('OTEL_EXPORTER_OTLP_TRACES_TIMEOUT') === '' ? 'OTEL_EXPORTER_OTLP_TIMEOUT' : 'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT';
  return {
    url,
    headers: {
      ...pairs('OTEL_EXPORTER_OTLP_HEADERS', value('OTEL_EXPORTER_OTLP_HEADERS')),
      ...pairs('OTEL_EXPORTER_OTLP_TRACES_HEADERS', value('OTEL_EXPORTER_OTLP_TRACES_HEADERS')),
    },
    timeout: count(timeout, value(timeout), 10_000),
    resource: { 'service.version': version, ...attributes, 'service.name': name },
    sampler: samplerOf(value('OTEL_TRACES_SAMPLER') || 'parentbased_always_on', value('OTEL_TRACES_SAMPLER_ARG')),
    batch: {
      queue: count('OTEL_BSP_MAX_QUEUE_SIZE', value('OTEL_BSP_MAX_QUEUE_SIZE'), 2048),
      size: count('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', value('OTEL_BSP_MAX_EXPORT_BATCH_SIZE'), 512),
      delay: count('OTEL_BSP_SCHEDULE_DELAY', value('OTEL_BSP_SCHEDULE_DELAY'), 5_000),
    },
  };
}

/** The traces' own endpoint is taken as it is; the common one gets the path of traces. */
function endpoint(value: (name: string) => string): URL | undefined {
  const own = value('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  if (own !== '') return parseUrl('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', own);
  const common = value('OTEL_EXPORTER_OTLP_ENDPOINT');
  return common === '' ? undefined : parseUrl('OTEL_EXPORTER_OTLP_ENDPOINT', `${common.replace(/\/+$/, '')}/v1/traces`);
}

function parseUrl(name: string, text: string): URL {
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  }
  throw new BerthError('CONFIG_INVALID', `${name}: "${text}" is not an http or https URL`);
}

/** Collectors take both encodings of OTLP over HTTP at one address; this one is JSON. */
function requireHttp(protocol: string): void {
  if (['', 'http/json', 'http/protobuf'].includes(protocol)) return;
  throw new BerthError('CONFIG_INVALID', `OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent over HTTP, not by "${protocol}"; give the collector's HTTP port and http/json`);
}

/** `key1=value1,key2=value2`, percent-encoded (W3C Baggage). */
function pairs(name: string, text: string): Record<string, string> {
  const entries = text.split(',').filter((part) => part.trim() !== '').map((part) => {
    const at = part.indexOf('=');
    if (at <= 0) throw new BerthError('CONFIG_INVALID', `${name}: "${part}" is not key=value`);
    return [part.slice(0, at).trim(), decoded(name, part.slice(at + 1).trim())] as const;
  });
  return Object.fromEntries(entries);
}

function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BerthError('CONFIG_INVALID', `${name}: "${text}" is not percent-encoded`);
  }
}

function count(name: string, text: string, otherwise: number): number {
  if (text === '') return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new BerthError('CONFIG_INVALID', `${name}: "${text}" is not a positive number`);
  return Number(text);
}
