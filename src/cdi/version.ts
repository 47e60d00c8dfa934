import { SpecProblem } from './fields.ts';

/** The released versions of the specification, oldest first. */
const versions = ['0.1.0', '0.2.0', '0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0'];

type Json = Readonly<Record<string, unknown>>;

/** What a version brought: a spec that uses it must name that version or a later one. */
const additions: readonly { readonly since: string; readonly what: string; readonly uses: (spec: Json) => boolean }[] = [
  { since: '0.4.0', what: 'the type of a mount', uses: (spec) => listed(spec, 'mounts').some((mount) => filled(mount['type'])) },
  { since: '0.5.0', what: 'hostPath of a device node', uses: (spec) => listed(spec, 'deviceNodes').some((node) => filled(node['hostPath'])) },
  { since: '0.5.0', what: 'a device name that begins with a digit', uses: (spec) => objects(spec['devices']).some(({ name }) => /^[0-9]/.test(String(name))) },
  { since: '0.6.0', what: 'annotations', uses: (spec) => [spec, ...objects(spec['devices'])].some(({ annotations }) => filled(annotations)) },
  { since: '0.6.0', what: 'a dot in the class', uses: (spec) => String(spec['kind']).split('/')[1]?.includes('.') ?? false },
  { since: '0.7.0', what: 'intelRdt', uses: (spec) => edits(spec).some(({ intelRdt }) => intelRdt != null) },
  { since: '0.7.0', what: 'additionalGids', uses: (spec) => edits(spec).some(({ additionalGids }) => filled(additionalGids)) },
  { since: '1.1.0', what: 'netDevices', uses: (spec) => edits(spec).some(({ netDevices }) => filled(netDevices)) },
  {
    since: '1.1.0',
    what: 'schemata or enableMonitoring of intelRdt',
    uses: (spec) => edits(spec).some(({ intelRdt }) => isObject(intelRdt) && (intelRdt['schemata'] != null || intelRdt['enableMonitoring'] === true)),
  },
];

/** Throws SpecProblem for a version that nobody released, and for a spec that uses what its version does not have. */
export function checkVersion(version: string, document: unknown): void {
  const plain = version.replace(/^v/, '');
  const rank = versions.indexOf(plain);
  if (rank === -1) throw new SpecProblem('cdiVersion', `"${version}" is not a version of the CDI specification, which are ${versions.join(', ')}`);
  if (!isObject(document)) return;
  for (const { since, what, uses } of additions) {
    if (versions.indexOf(since) > rank && uses(document)) throw new SpecProblem('cdiVersion', `${what} needs ${since}, not ${plain}`);
  }
}

function edits(spec: Json): Json[] {
  return [spec, ...objects(spec['devices'])].map(({ containerEdits }) => containerEdits).filter(isObject);
}

function listed(spec: Json, key: string): Json[] {
  return edits(spec).flatMap((edit) => objects(edit[key]));
}

function objects(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Neither absent nor empty, as an empty list or text says nothing. */
function filled(value: unknown): boolean {
  return value != null && value !== '' && !(typeof value === 'object' && Object.keys(value).length === 0);
}
