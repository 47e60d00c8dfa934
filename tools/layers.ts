/**
 * The layering of src/: who may import whom. An import points down or stays within its layer.
 * Type imports count too, with one exception: the types of the CRI contract, which every layer speaks.
 */

/** From top to bottom; folders in one row are peers and do not import each other unless listed below. */
export const layers: readonly (readonly string[])[] = [
  ['main.ts', 'cli'],
  ['cri-server'],
  ['runtime-service', 'image-service', 'streaming'],
  ['shim', 'pod-network', 'cgroup', 'cdi'],
  ['state'],
  ['config', 'errors', 'telemetry'],
];

/** The bottom row is one layer: loggers take levels from the configuration, the configuration throws errors. */
export const freePeers: ReadonlySet<string> = new Set(['config', 'errors', 'telemetry']);

/** May be imported from anywhere, as types. */
export const sharedTypes = /^cri-server\/(generated\/|handlers\.ts$)/;

/** Interfaces through which peers know each other; imported as types, wired in main.ts. */
export const peerInterfaces: ReadonlySet<string> = new Set(['streaming/requests.ts', 'image-service/images.ts']);

export interface Import {
  /** Path below src/. */
  readonly from: string;
  /** Path below src/. */
  readonly to: string;
  readonly typeOnly: boolean;
  readonly line: number;
}

/** The part of a path that `layers` names: its first folder, or the file itself. */
export function partOf(path: string): string {
  return path.split('/')[0] ?? path;
}

/** What is wrong with one import, or undefined. */
export function importProblem({ from, to, typeOnly }: Import): string | undefined {
  const [source, target] = [partOf(from), partOf(to)];
  if (source === target || (typeOnly && sharedTypes.test(to))) return undefined;
  const [sourceRow, targetRow] = [rowOf(source), rowOf(target)];
  if (sourceRow === -1) return `${source} is in no layer; add it to tools/layers.ts`;
  if (targetRow === -1) return `${target} is in no layer; add it to tools/layers.ts`;
  if (targetRow < sourceRow) return `${source} may not import ${target}, which is above it`;
  const peersMayMeet = (freePeers.has(source) && freePeers.has(target)) || (typeOnly && peerInterfaces.has(to));
  if (targetRow === sourceRow && !peersMayMeet) return `${source} may not import its peer ${target}; they meet in main.ts`;
  return undefined;
}

function rowOf(part: string): number {
  return layers.findIndex((row) => row.includes(part));
}

/** Every cycle of files, each once, as the files in order. */
export function findCycles(imports: readonly Import[]): string[][] {
  const edges = new Map<string, string[]>();
  for (const { from, to } of imports) edges.set(from, [...(edges.get(from) ?? []), to]);
  const cycles: string[][] = [];
  const finished = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const at = trail.indexOf(file);
    if (at !== -1) {
      cycles.push(trail.slice(at));
      return;
    }
    if (finished.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...trail, file]);
    finished.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return cycles;
}
