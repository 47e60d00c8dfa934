import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BerthError } from '../../errors/catalogue.ts';
import type { CallOutcome, CallTracer } from '../call-tracer.ts';
import { systemClock } from '../clock.ts';
import { observed, step } from '../steps.ts';
import { createCallTracer } from '../tracing.ts';
import { tracingSettings } from './environment.ts';
import { samplerOf } from './sampler.ts';
import { parseTraceparent } from './trace-context.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
  readonly status: { readonly code?: number; readonly message?: string };
}

interface Export {
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly spans: readonly Span[];
}

/** A collector that speaks OTLP over HTTP. */
let collector: Server;
let received: Export[];
let answers: number[];
let endpoint: string;
let registry: Registry;

beforeEach(async () => {
  received = [];
  answers = [];
  registry = new Registry();
  collector = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const status = answers.shift() ?? 200;
      if (status === 200) received.push(readExport(request.url, request.headers, body));
      response.writeHead(status).end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
});
afterEach(async () => {
  collector.closeAllConnections();
  await new Promise((resolve) => collector.close(resolve));
});

function readExport(path: string | undefined, headers: IncomingHttpHeaders, body: string): Export {
  const { resourceSpans: [all] } = JSON.parse(body) as {
    resourceSpans: [{ resource: { attributes: { key: string; value: { stringValue: string } }[] }; scopeSpans: [{ spans: Span[] }] }];
  };
  return {
    path, headers,
    resource: Object.fromEntries(all.resource.attributes.map(({ key, value }) => [key, value.stringValue])),
    spans: all.scopeSpans[0].spans,
  };
}

function tracer(environment: Record<string, string> = {}): Promise<CallTracer> {
  return createCallTracer({
    environment: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...environment }, version: '1.2.3', registry, clock: systemClock(), log: pino({ level: 'silent' }),
  });
}

const ok: CallOutcome = { code: 'OK', status: 0, message: undefined, serverFault: false, attributes: {} };
const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

async function call(to: CallTracer, traceparent?: string, work: () => Promise<unknown> = () => Promise.resolve(), outcome = ok): Promise<string | undefined> {
  const watched = to.begin('runtime.v1.RuntimeService', 'RunPodSandbox', traceparent);
  await observed(watched.observer, work);
  watched.end(outcome);
  return watched.traceId;
}

async function spansDropped(): Promise<number> {
  return Number(/outcome="dropped"\} (\d+)/.exec(await registry.metrics())?.[1]);
}

test('one trace for each call, with a span for each step, in the trace of the client', async () => {
  const traced = await tracer({ OTEL_SERVICE_NAME: 'node-7', OTEL_RESOURCE_ATTRIBUTES: 'k8s.node.name=n%201,service.name=other', OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=blue' });
  const work = () => step('sandbox.network', async () => {
    await step('network.plugin', () => Promise.resolve(), { 'berth.plugin': 'bridge' });
  });
  expect(await call(traced, parent, work, { ...ok, attributes: { 'berth.sandbox': 'abc' } })).toBe('0af7651916cd43dd8448eb211c80319c');
  await traced.close();
  const [sent] = received;
  expect(sent).toMatchObject({
    path: '/v1/traces',
    headers: { 'content-type': 'application/json', 'x-tenant': 'blue' },
    resource: { 'service.name': 'node-7', 'service.version': '1.2.3', 'k8s.node.name': 'n 1' },
  });
  const [plugin, network, server] = sent?.spans ?? [];
  expect(sent?.spans.map(({ traceId }) => traceId)).toEqual(Array.from({ length: 3 }, () => '0af7651916cd43dd8448eb211c80319c'));
  expect(server).toMatchObject({ name: 'runtime.v1.RuntimeService/RunPodSandbox', kind: 2, parentSpanId: 'b7ad6b7169203331', status: {} });
  expect(server?.attributes).toEqual(expect.arrayContaining([
    { key: 'rpc.grpc.status_code', value: { intValue: '0' } }, { key: 'berth.sandbox', value: { stringValue: 'abc' } },
  ]));
  expect(network).toMatchObject({ name: 'sandbox.network', kind: 1, parentSpanId: server?.spanId });
  expect(plugin).toMatchObject({ name: 'network.plugin', parentSpanId: network?.spanId, attributes: [{ key: 'berth.plugin', value: { stringValue: 'bridge' } }] });
  expect(BigInt(plugin?.startTimeUnixNano ?? 0)).toBeGreaterThan(1_600_000_000_000_000_000n);
  expect(BigInt(network?.endTimeUnixNano ?? 0)).toBeGreaterThanOrEqual(BigInt(plugin?.endTimeUnixNano ?? 0));
});

test('a failed step and a failed call say so; the client\'s own mistakes are not errors of the server', async () => {
  const traced = await tracer();
  const fails = () => step('container.launch', () => Promise.reject(new BerthError('CONTAINER_SETUP_FAILED', 'no such program'))).catch(() => undefined);
  await call(traced, undefined, fails, { ...ok, code: 'INTERNAL', status: 13, message: 'no such program', serverFault: true });
  await call(traced, undefined, undefined, { ...ok, code: 'NOT_FOUND', status: 5, message: 'no container' });
  await traced.close();
  const spans = received.flatMap((each) => each.spans);
  expect(spans.map(({ status }) => status)).toEqual([{ code: 2, message: 'no such program' }, { code: 2, message: 'INTERNAL: no such program' }, {}]);
  expect(spans[0]?.attributes).toEqual([{ key: 'error.type', value: { stringValue: 'CONTAINER_SETUP_FAILED' } }]);
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(2);
});

describe('what is not to be traced', () => {
  test.each([
    ['the client does not sample', {}, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'],
    ['nothing is sampled', { OTEL_TRACES_SAMPLER: 'always_off' }, parent],
    ['the SDK is switched off', { OTEL_SDK_DISABLED: 'true' }, parent],
    ['there is no exporter', { OTEL_TRACES_EXPORTER: 'none' }, parent],
    ['there is no endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }, parent],
  ])('%s: steps are still measured', async (_, environment, traceparent) => {
    const traced = await tracer(environment);
    expect(await call(traced, traceparent, () => step('sandbox.cgroup', () => Promise.resolve()))).toBeUndefined();
    await traced.close();
    expect(received).toEqual([]);
    expect(await registry.metrics()).toContain('berth_step_duration_seconds_count{step="sandbox.cgroup",outcome="ok"} 1');
  });
});

describe('a collector', () => {
  test('that is busy is asked again', async () => {
    answers = [503];
    const traced = await tracer();
    await call(traced);
    await traced.close();
    expect(received).toHaveLength(1);
    expect(await spansDropped()).toBe(0);
  });

  test('that refuses costs the spans, which are counted, and nothing else', async () => {
    answers = [400];
    const traced = await tracer();
    await call(traced);
    await traced.close();
    expect(await spansDropped()).toBe(1);
  });

  test('that is away costs no memory beyond the queue', async () => {
    const traced = await tracer({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_BSP_MAX_QUEUE_SIZE: '10', OTEL_BSP_SCHEDULE_DELAY: '100000' });
    for (let number = 0; number < 25; number += 1) await call(traced);
    expect(await spansDropped()).toBe(15);
    await traced.close();
    expect(await spansDropped()).toBe(25);
  });

  test('gets many spans in batches', async () => {
    const traced = await tracer({ OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '4' });
    for (let number = 0; number < 10; number += 1) await call(traced);
    await traced.close();
    expect(received.map(({ spans }) => spans.length)).toEqual([4, 4, 2]);
  });
});

describe('settings', () => {
  const settings = (environment: Record<string, string>) => tracingSettings(environment, '1');

  test('the traces\' own endpoint is taken as it is', () => {
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/base/' })?.url.href).toBe('http://c:4318/base/v1/traces');
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://t:1/x' })?.url.href).toBe('https://t:1/x');
    expect(settings({})).toBeUndefined();
  });

  test('the service is berthd unless it is named', () => {
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c' })?.resource).toEqual({ 'service.name': 'berthd', 'service.version': '1' });
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_RESOURCE_ATTRIBUTES: 'service.name=x' })?.resource['service.name']).toBe('x');
  });

  test.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 'OTEL_EXPORTER_OTLP_PROTOCOL'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_TRACES_SAMPLER: 'sometimes' }, 'OTEL_TRACES_SAMPLER'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' }, 'OTEL_TRACES_SAMPLER_ARG'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_RESOURCE_ATTRIBUTES: 'novalue' }, 'OTEL_RESOURCE_ATTRIBUTES'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_BSP_SCHEDULE_DELAY: 'soon' }, 'OTEL_BSP_SCHEDULE_DELAY'],
  ])('%o is refused by name', (environment, name) => {
    expect(() => settings(environment)).toThrow(name);
  });
});

test('a ratio keeps its share, and the same traces everywhere', () => {
  const half = samplerOf('traceidratio', '0.5');
  const ids = Array.from({ length: 1000 }, (_, index) => (BigInt(index) * 0x9e3779b97f4a7c15n % (1n << 64n)).toString(16).padStart(32, '0'));
  const kept = ids.filter((id) => half(undefined, id)).length;
  expect(kept).toBeGreaterThan(400);
  expect(kept).toBeLessThan(600);
  expect(ids.every((id) => samplerOf('traceidratio', '0')(undefined, id))).toBe(false);
  expect(ids.every((id) => samplerOf('parentbased_traceidratio', '1')(undefined, id))).toBe(true);
});

test.each([
  ['', undefined], [parent, true], [parent.replace(/01$/, '00'), false], [`${parent}-more`, undefined],
  [parent.replace(/^00/, 'ff'), undefined], [`01${parent.slice(2)}-more`, true], [parent.toUpperCase(), undefined],
  [parent.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32)), undefined],
])('traceparent %j', (text, sampled) => {
  expect(parseTraceparent(text)?.sampled).toBe(sampled);
});
