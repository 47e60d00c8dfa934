import { neededControllers } from '../cgroup/hierarchy.ts';
import type { ObjectCounts } from '../telemetry/runtime-metrics.ts';
import type { Runtime } from './runtime.ts';

const sandboxPhases = ['creating', 'ready', 'stopped'];
const containerPhases = ['creating', 'created', 'running', 'exited'];
const ledgerEntries = ['directory', 'cgroup', 'namespaces', 'network', 'shim', 'image'];

/** What there is now, for the metrics. Every kind is there, also with nothing in it, so that no series comes and goes. */
export function countObjects(runtime: Runtime): ObjectCounts {
  const { controllers } = runtime.cgroups.hierarchy;
  const sandboxes = [...runtime.sandboxes.values()].map(({ record }) => record);
  const containers = [...runtime.containers.values()];
  const held = [...sandboxes, ...containers.map(({ record }) => record)].flatMap(({ ledger }) => ledger);
  return {
    sandboxes: tally(sandboxPhases, sandboxes.map(({ phase }) => phase)),
    containers: tally(containerPhases, containers.map(({ record }) => record.phase)),
    shims: containers.filter(({ shim }) => shim !== undefined).length,
    ledger: tally(ledgerEntries, held),
    launches: { running: runtime.launches.pending, waiting: runtime.launches.size },
    controllers: new Map([...Object.keys(neededControllers), 'hugetlb'].map((name) => [name, controllers.has(name)])),
  };
}

function tally(kinds: readonly string[], found: readonly string[]): Map<string, number> {
  const counts = new Map(kinds.map((kind) => [kind, 0]));
  for (const kind of found) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
