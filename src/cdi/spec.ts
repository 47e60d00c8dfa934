import { isEmptyEdits, noEdits, parseEdits } from './edits.ts';
import type { ContainerEdits } from './edits.ts';
import { Fields, SpecProblem } from './fields.ts';
import { isDeviceName, isKind } from './names.ts';
import { checkVersion } from './version.ts';

/** One CDI spec: the content of a file. */
export interface CdiSpec {
  /** "vendor/class". */
  readonly kind: string;
  /** Made in every container that gets any device of this spec. */
  readonly edits: ContainerEdits;
  /** By name. */
  readonly devices: ReadonlyMap<string, ContainerEdits>;
}

/** Checks a spec wholly, by the rules of the version that it names. Throws SpecProblem. */
export function parseSpec(document: unknown): CdiSpec {
  const fields = new Fields(document, '');
  const version = fields.text('cdiVersion');
  const kind = fields.text('kind');
  if (!isKind(kind)) throw new SpecProblem('kind', `"${kind}" is not vendor/class`);
  checkVersion(version, document);
  fields.textMap('annotations');
  const global = fields.object('containerEdits');
  const edits = global === undefined ? noEdits : parseEdits(global);
  const devices = new Map<string, ContainerEdits>();
  for (const device of fields.objects('devices')) {
    const [name, parsed] = parseDevice(device);
    if (devices.has(name)) throw new SpecProblem(device.at('name'), `"${name}" appears twice`);
    devices.set(name, parsed);
  }
  if (devices.size === 0) throw new SpecProblem('devices', 'is empty');
  fields.end();
  return { kind, edits, devices };
}

function parseDevice(fields: Fields): [string, ContainerEdits] {
  const name = fields.word('name');
  if (!isDeviceName(name)) throw new SpecProblem(fields.at('name'), `"${name}" is not a device's name`);
  fields.textMap('annotations');
  const given = fields.object('containerEdits');
  const edits = given === undefined ? noEdits : parseEdits(given);
  if (isEmptyEdits(edits)) throw new SpecProblem(fields.at('containerEdits'), 'is empty');
  fields.end();
  return [name, edits];
}
