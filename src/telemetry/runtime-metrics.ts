/** The metrics of the runtime service. */
import { Counter, Gauge, type Registry } from 'prom-client';

export interface RuntimeMetrics {
  readonly events: EventMetrics;
}

export interface EventMetrics {
  published(): void;
  /** Events that a subscriber who was to have them did not get. */
  dropped(count: number): void;
  subscribers(count: number): void;
}

export function createRuntimeMetrics(registry: Registry): RuntimeMetrics {
  return { events: eventMetrics(registry) };
}

function eventMetrics(registry: Registry): EventMetrics {
  const registers = [registry];
  const published = new Counter({ name: 'berth_events_published_total', help: 'Events of containers and sandboxes that were published.', registers });
  const dropped = new Counter({
    name: 'berth_events_dropped_total',
    help: 'Events that a subscriber to GetContainerEvents should have had and did not get, because it was too slow.',
    registers,
  });
  const subscribers = new Gauge({ name: 'berth_event_subscribers', help: 'Open GetContainerEvents streams.', registers });
  return {
    published: () => published.inc(),
    dropped: (count) => dropped.inc(count),
    subscribers: (count) => subscribers.set(count),
  };
}
