/** What a collector and a Prometheus see of a pod's life. */

import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

/** The world's network is its own: the ports are free. */
const COLLECTOR = 4318;
const METRICS = '127.0.0.1:9750';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

const spans: Span[] = [];
const collector = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    spans.push(...resourceSpans.flatMap((resource) => resource.scopeSpans.flatMap((scope) => scope.spans)));
    response.end('{}');
  });
});
beforeAll(() => new Promise<void>((resolve) => void collector.listen(COLLECTOR, '127.0.0.1', resolve)));
afterAll(() => {
  collector.closeAllConnections();
  collector.close();
});

const stage = useStage({
  images: { busybox },
  pulled: [],
  flags: ['--metrics-address', METRICS],
  env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${COLLECTOR}`, OTEL_BSP_SCHEDULE_DELAY: '200' },
});

/** The names of a call's steps, each below what it is part of: `sandbox.network/network.plugin`. */
async function stepsOf(rpc: string): Promise<string[]> {
  const root = await eventually(`a trace of ${rpc}`, async () => spans.find(({ name }) => name === `runtime.v1.${rpc}`));
  const trace = spans.filter(({ traceId }) => traceId === root.traceId);
  const pathOf = ({ name, parentSpanId }: Span): string => {
    const parent = trace.find(({ spanId }) => spanId === parentSpanId);
    return parent === undefined || parent === root ? name : `${pathOf(parent)}/${name}`;
  };
  return trace.filter((span) => span !== root).map(pathOf);
}

test('each call is one trace, with its steps as spans, and the metrics have their times', async () => {
  const { cri, kubelet } = stage;
  await stage.pull(stage.ref('busybox'));
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  await cri.call('RemoveContainer', { container_id: id });
  await kubelet.removePod(pod);

  expect(await stepsOf('ImageService/PullImage')).toEqual(expect.arrayContaining(['pull.session', 'pull.resolve', 'pull.layer', 'pull.layer/pull.unpack', 'pull.commit']));
  expect(await stepsOf('RuntimeService/RunPodSandbox')).toEqual(expect.arrayContaining([
    'sandbox.queue', 'sandbox.files', 'sandbox.cgroup', 'sandbox.namespaces', 'sandbox.network', 'sandbox.network/network.plugin',
  ]));
  expect(await stepsOf('RuntimeService/CreateContainer')).toEqual(expect.arrayContaining(['container.rootfs', 'container.bundle', 'container.cgroup', 'container.launch']));
  expect(await stepsOf('RuntimeService/StartContainer')).toEqual(['container.start']);
  expect(await stepsOf('RuntimeService/StopPodSandbox')).toEqual(expect.arrayContaining(['release.network', 'release.network/network.plugin']));

  const metrics = await (await fetch(`http://${METRICS}/metrics`)).text();
  const value = (series: string): number => Number(metrics.split('\n').find((line) => line.startsWith(`${series} `))?.split(' ').at(-1));
  expect(value('berth_step_duration_seconds_count{step="container.launch",outcome="ok"}')).toBe(1);
  expect(value('berth_grpc_requests_total{method="RunPodSandbox",code="OK"}')).toBe(1);
  expect(value('berth_image_pulls_total{outcome="ok"}')).toBe(1);
  expect(value('berth_image_downloaded_bytes_total')).toBeGreaterThan(100_000);
  expect(value('berth_sandboxes{phase="ready"}')).toBe(0);
  expect(value('berth_trace_spans_total{outcome="dropped"}')).toBe(0);
});
