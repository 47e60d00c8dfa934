import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messageDescriptor } from '../cri-server/contract-messages.ts';
import { BerthError, grpcStatus } from '../errors/catalogue.ts';
import { containerConfig, podConfig, podLinux, podSecurity } from './testing/requests.ts';
import { Rig } from './testing/rig.ts';
import { allMutations, containerPlaces, mutate, podPlaces, someMutations, touchedFields } from './testing/security-mutations.ts';
import type { Mutation } from './testing/security-mutations.ts';
import { securityValues } from './testing/security-values.ts';
import { checkRequest } from '../cri-server/request-check.ts';

/** Fixed, so that a run is the same everywhere; another one is a change of this line. */
const seed = 20_190_211;

let rig: Rig;
let pod: string;

beforeAll(async () => {
  rig = await Rig.make();
  pod = await rig.pod();
});
afterAll(() => rig.close());

/** As a client's call: the checks of any request, then the handler. */
async function create(mutations: readonly Mutation[]): Promise<string> {
  const request = { pod_sandbox_id: pod, config: structuredClone(containerConfig()), sandbox_config: null };
  mutate(request, mutations);
  checkRequest('CreateContainerRequest', request);
  return rig.container(pod, request.config);
}

async function run(mutations: readonly Mutation[]): Promise<string> {
  const request = { config: structuredClone(podConfig({ metadata: { name: 'other', namespace: 'shop', uid: 'u-2', attempt: 0 }, linux: podLinux({ security_context: podSecurity() }) })), runtime_handler: '' };
  mutate(request, mutations);
  checkRequest('RunPodSandboxRequest', request);
  return rig.pod(request.config);
}

const kinds = [
  { what: 'container', act: create, places: containerPlaces, remove: (id: string) => rig.call('RemoveContainer', { container_id: id }) },
  { what: 'pod', act: run, places: podPlaces, remove: (id: string) => rig.call('RemovePodSandbox', { pod_sandbox_id: id }) },
];

const refusals: ReadonlySet<number> = new Set([
  grpcStatus.INVALID_ARGUMENT, grpcStatus.UNIMPLEMENTED, grpcStatus.FAILED_PRECONDITION, grpcStatus.NOT_FOUND,
]);

/** Done and taken away again, or the error; with nothing left either way. */
async function attempt(kind: (typeof kinds)[number], mutations: readonly Mutation[]): Promise<BerthError | undefined> {
  const before = await held();
  const outcome = await kind.act(mutations).then(
    async (id) => {
      if (kind.what === 'container') await expectConfined(id);
      await kind.remove(id);
      return undefined;
    },
    (cause: unknown) => cause,
  );
  if (outcome !== undefined && !(outcome instanceof BerthError)) throw new Error('failed with what is no error of the catalogue', { cause: outcome });
  expect(await held()).toEqual(before);
  return outcome;
}

/** A pod keeps the reaper of its shared PID namespace once it has one. */
async function held(): Promise<string[]> {
  return (await rig.left()).filter((entry) => !entry.endsWith('/berth-reaper')).toSorted();
}

/** What must hold of every bundle, whatever was asked for. */
async function expectConfined(id: string): Promise<void> {
  const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(rig.directory, 'state/shims', id, name), 'utf8'));
  const [oci, berth] = (await Promise.all([read('config.json'), read('berth.json')])) as [Bundle, Own];
  const { capabilities } = oci.process;
  expect(capabilities.inheritable).toEqual(capabilities.ambient);
  expect(oci.linux.resources.devices[0]).toMatchObject({ allow: false, access: 'rwm' });
  expect(JSON.stringify([oci, berth])).not.toContain('\\u0000');
  for (const path of [...oci.linux.maskedPaths, ...oci.linux.readonlyPaths, ...oci.linux.devices.map((device) => device.path), ...oci.mounts.map(({ destination }) => destination)]) {
    expect(path).toMatch(/^\/[^]/);
  }
  for (const number of [berth.user.group, ...berth.user.supplementalGroups]) expect(number >= -1 && number <= 4_294_967_294).toBe(true);
}

interface Bundle {
  readonly process: { readonly capabilities: { readonly inheritable: string[]; readonly ambient: string[] } };
  readonly mounts: readonly { readonly destination: string }[];
  readonly linux: { readonly maskedPaths: string[]; readonly readonlyPaths: string[]; readonly devices: readonly { readonly path: string }[]; readonly resources: { readonly devices: object[] } };
}

interface Own {
  readonly user: { readonly group: number; readonly supplementalGroups: readonly number[] };
}

test('no field of a message that decides about confinement is forgotten', () => {
  for (const [message, fields] of Object.entries(securityValues)) {
    expect([message, ...Object.keys(fields).toSorted()]).toEqual([message, ...Object.keys(messageDescriptor(message)?.fields ?? {}).toSorted()]);
  }
});

describe.each(kinds)('$what', (kind) => {
  test('each good value alone is taken, each bad one refused by its field\'s name', async () => {
    for (const mutation of allMutations(kind.places)) {
      const shown = `${mutation.path.join('.')} = ${JSON.stringify(mutation.value).slice(0, 80)} is ${mutation.expected}`;
      const error = await attempt(kind, [mutation]);
      if (mutation.expected === 'fine') expect([shown, error?.message]).toEqual([shown, undefined]);
      if (mutation.expected !== 'refused') continue;
      expect([shown, error?.status]).toEqual([shown, grpcStatus.INVALID_ARGUMENT]);
      expect([shown, error?.message]).toEqual([shown, expect.stringContaining(mutation.path.at(-1) ?? '')]);
    }
  }, 120_000);

  test('any of them together are honoured or refused by a field\'s name, and nothing is left', async () => {
    const property = fc.asyncProperty(someMutations(kind.places), async (mutations) => {
      const error = await attempt(kind, mutations);
      if (error === undefined) return;
      expect([...refusals]).toContain(error.status);
      expect(touchedFields(mutations)).toSatisfy((fields: string[]) => fields.some((field) => error.message.includes(field)), error.message);
    });
    await fc.assert(property, { seed, numRuns: 200 });
  }, 120_000);
});
