/** The metrics of every RPC. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface CallMetrics {
  started(method: string): void;
  /** `code` is the gRPC status by name. */
  finished(method: string, code: string, seconds: number): void;
}

/** From what memory answers (below 1 ms) to what a slow registry takes. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

export function createCallMetrics(registry: Registry): CallMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'berth_grpc_requests_total',
    help: 'CRI calls that ended, by method and gRPC status.',
    labelNames: ['method', 'code'],
    registers,
  });
  const durations = new Histogram({
    name: 'berth_grpc_request_duration_seconds',
    help: 'How long CRI calls took, by method.',
    labelNames: ['method'],
    buckets,
    registers,
  });
  const inFlight = new Gauge({
    name: 'berth_grpc_requests_in_flight',
    help: 'CRI calls that run now, by method.',
    labelNames: ['method'],
    registers,
  });
  return {
    started(method) {
      inFlight.inc({ method });
    },
    finished(method, code, seconds) {
      inFlight.dec({ method });
      requests.inc({ method, code });
      durations.observe({ method }, seconds);
    },
  };
}
