/** The metrics of the runtime service. */
import { Counter, Gauge, type Registry } from 'prom-client';

export interface RuntimeMetrics {
  readonly events: EventMetrics;
  /** An exit status that nobody saw. */
  shimLost(): void;
  /** Log entries that a container's log could not take since the last time. */
  logEntriesDropped(reason: 'file' | 'rate', count: number): void;
  /** What could not be given back stays in the ledger; by kind of entry. */
  readonly releaseFailed: (entry: string) => void;
  /** From now on `count` is asked whenever somebody reads the metrics. */
  watch(count: () => ObjectCounts): void;
}

export interface EventMetrics {
  published(): void;
  /** Events that a subscriber who was to have them did not get. */
  dropped(count: number): void;
  subscribers(count: number): void;
}

/** What there is now, by phase or by kind. */
export interface ObjectCounts {
  readonly sandboxes: ReadonlyMap<string, number>;
  readonly containers: ReadonlyMap<string, number>;
  /** Shims that are connected. */
  readonly shims: number;
  /** Entries of the ledgers of all objects. */
  readonly ledger: ReadonlyMap<string, number>;
  /** Launches that run, and that wait for their turn. */
  readonly launches: { readonly running: number; readonly waiting: number };
  /** Cgroup controllers that limits need, and whether they are there. */
  readonly controllers: ReadonlyMap<string, boolean>;
}

export function createRuntimeMetrics(registry: Registry): RuntimeMetrics {
  const registers = [registry];
  const lost = new Counter({ name: 'berth_shims_lost_total', help: 'Containers whose shim was lost, by a restart of the node too, and with it their exit status.', registers });
  const logs = new Counter({
    name: 'berth_container_log_entries_dropped_total',
    help: 'Log entries of containers that are not in their logs, by reason: file, which could not take them (a full disk, mostly), or rate, beyond the limit.',
    labelNames: ['reason'],
    registers,
  });
  const releases = new Counter({
    name: 'berth_ledger_release_failures_total',
    help: 'Things that could not be given back and stay in the ledger, by kind of entry.',
    labelNames: ['entry'],
    registers,
  });
  return {
    events: eventMetrics(registry),
    shimLost: () => lost.inc(),
    logEntriesDropped: (reason, count) => logs.inc({ reason }, count),
    releaseFailed: (entry) => releases.inc({ entry }),
    watch: (count) => objectMetrics(registry, count),
  };
}

function objectMetrics(registry: Registry, count: () => ObjectCounts): void {
  const registers = [registry];
  const byLabel = (name: string, help: string, label: string, of: (counts: ObjectCounts) => ReadonlyMap<string, number>): Gauge =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, number] of of(count())) this.set({ [label]: value }, number);
      },
    });
  byLabel('berth_sandboxes', 'Pod sandboxes, by phase.', 'phase', ({ sandboxes }) => sandboxes);
  byLabel('berth_containers', 'Containers, by phase.', 'phase', ({ containers }) => containers);
  byLabel('berth_ledger_entries', 'What sandboxes and containers may hold on the machine, by kind of entry.', 'entry', ({ ledger }) => ledger);
  byLabel('berth_launches', 'Sandboxes and containers that are being launched, by state: running, or waiting for a place.', 'state', ({ launches }) =>
    new Map(Object.entries(launches)));
  byLabel('berth_cgroup_controller_available', 'Cgroup controllers that limits need: 1 when the kernel offers them, else 0.', 'controller', ({ controllers }) =>
    new Map([...controllers].map(([name, there]) => [name, there ? 1 : 0])));
  new Gauge({
    name: 'berth_shims',
    help: 'Shims that are connected.',
    registers,
    collect() {
      this.set(count().shims);
    },
  });
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
