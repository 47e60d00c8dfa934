import { SpecProblem } from './fields.ts';
import type { Fields } from './fields.ts';

/** What a CDI device changes in a container (CDI specification, "OCI Edits"). */
export interface ContainerEdits {
  /** "NAME=value". */
  readonly env: readonly string[];
  readonly deviceNodes: readonly CdiDeviceNode[];
  readonly mounts: readonly CdiMount[];
  readonly hooks: readonly CdiHook[];
  readonly additionalGids: readonly number[];
  /** Edits that the spec may ask for and Berth does not make; a device that needs them is refused. */
  readonly unsupported: readonly string[];
}

export interface CdiDeviceNode {
  /** In the container. */
  readonly path: string;
  /** On the node. */
  readonly hostPath: string;
  /** Taken from the node's device where it is missing, as are the numbers. */
  readonly type: 'c' | 'b' | 'p' | undefined;
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** Of r, w and m. */
  readonly permissions: string;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly type: string;
  readonly options: readonly string[];
}

export const hookNames = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;

export type HookName = (typeof hookNames)[number];

export interface CdiHook {
  readonly hookName: HookName;
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Seconds. */
  readonly timeout: number | undefined;
}

export const noEdits: ContainerEdits = { env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [], unsupported: [] };

/** The largest id that is one; 4294967295 is (uid_t)-1. */
const maxId = 4_294_967_294;

/** Throws SpecProblem. */
export function parseEdits(fields: Fields): ContainerEdits {
  const edits: ContainerEdits = {
    env: environment(fields, 'env'),
    deviceNodes: fields.objects('deviceNodes').map(parseNode),
    mounts: fields.objects('mounts').map(parseMount),
    hooks: fields.objects('hooks').map(parseHook),
    additionalGids: fields.integers('additionalGids', 0, maxId),
    unsupported: ['intelRdt', 'netDevices'].filter((key) => fields.has(key)),
  };
  fields.end();
  return edits;
}

export function isEmptyEdits(edits: ContainerEdits): boolean {
  return Object.values(edits).every((list: readonly unknown[]) => list.length === 0);
}

/** All of them, in order. */
export function joinEdits(all: readonly ContainerEdits[]): ContainerEdits {
  return {
    env: all.flatMap(({ env }) => env),
    deviceNodes: all.flatMap(({ deviceNodes }) => deviceNodes),
    mounts: all.flatMap(({ mounts }) => mounts),
    hooks: all.flatMap(({ hooks }) => hooks),
    additionalGids: all.flatMap(({ additionalGids }) => additionalGids),
    unsupported: all.flatMap(({ unsupported }) => unsupported),
  };
}

function environment(fields: Fields, key: string): string[] {
  const entries = fields.texts(key);
  const bad = entries.findIndex((entry) => entry.indexOf('=') <= 0);
  if (bad !== -1) throw new SpecProblem(`${fields.at(key)}[${bad}]`, `"${entries[bad]}" is not NAME=value`);
  return entries;
}

/** "u" is an unbuffered character device: to Linux the same. */
const deviceTypes: Readonly<Record<string, CdiDeviceNode['type']>> = { '': undefined, b: 'b', c: 'c', u: 'c', p: 'p' };

function parseNode(fields: Fields): CdiDeviceNode {
  const path = fields.absolutePath('path');
  const type = fields.text('type');
  if (!Object.hasOwn(deviceTypes, type)) throw new SpecProblem(fields.at('type'), `"${type}" is not b, c, u or p`);
  const permissions = fields.text('permissions');
  if (!/^[rwm]*$/.test(permissions)) throw new SpecProblem(fields.at('permissions'), `"${permissions}" is not made of r, w and m`);
  const mode = fields.integer('fileMode', 0, 0o177777);
  const node: CdiDeviceNode = {
    path,
    hostPath: fields.text('hostPath') === '' ? path : fields.absolutePath('hostPath'),
    type: deviceTypes[type],
    // As many bits as the kernel's device numbers have.
    major: fields.integer('major', 0, 4095) ?? 0,
    minor: fields.integer('minor', 0, 1_048_575) ?? 0,
    fileMode: mode === undefined ? undefined : mode & 0o7777,
    uid: fields.integer('uid', 0, maxId),
    gid: fields.integer('gid', 0, maxId),
    permissions,
  };
  fields.end();
  return node;
}

function parseMount(fields: Fields): CdiMount {
  const mount = {
    hostPath: fields.text('hostPath'),
    containerPath: fields.absolutePath('containerPath'),
    type: fields.text('type'),
    options: fields.texts('options'),
  };
  if (mount.hostPath === '') throw new SpecProblem(fields.at('hostPath'), 'is empty');
  fields.end();
  return mount;
}

function parseHook(fields: Fields): CdiHook {
  const name = fields.text('hookName');
  const hookName = hookNames.find((known) => known === name);
  if (hookName === undefined) throw new SpecProblem(fields.at('hookName'), `"${name}" is not one of ${hookNames.join(', ')}`);
  const hook: CdiHook = {
    hookName,
    path: fields.absolutePath('path'),
    args: fields.texts('args'),
    env: environment(fields, 'env'),
    timeout: fields.integer('timeout', 1, 86_400),
  };
  fields.end();
  return hook;
}
