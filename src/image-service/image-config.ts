/** The OCI image config (image-spec config.md): what of it Berth needs. */

import { isDigest } from './digest.ts';
import type { ImageRunConfig } from './images.ts';
import { asArray, asObject, parseJsonObject, protocolError } from './registry/descriptor.ts';
import type { JsonObject } from './registry/descriptor.ts';

export interface ImageConfig {
  readonly run: ImageRunConfig;
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly string[];
  /** The whole document, for verbose status. */
  readonly document: JsonObject;
}

export function parseImageConfig(content: Uint8Array, what: string): ImageConfig {
  const document = parseJsonObject(content, what);
  const rootfs = asObject(document['rootfs'], `${what}: rootfs`);
  if (rootfs['type'] !== 'layers') throw protocolError(what, 'rootfs.type is not "layers"');
  const diffIds = asArray(rootfs['diff_ids'] ?? [], `${what}: rootfs.diff_ids`).map((value, position) => {
    if (typeof value === 'string' && isDigest(value)) return value;
    throw protocolError(what, `rootfs.diff_ids[${position}] is not sha256: and 64 hex digits`);
  });
  const section = document['config'] ?? {};
  return { run: parseRunConfig(asObject(section, `${what}: config`), `${what}: config`), diffIds, document };
}

function parseRunConfig(section: JsonObject, what: string): ImageRunConfig {
  return {
    user: text(section, 'User', what),
    env: texts(section, 'Env', what),
    entrypoint: texts(section, 'Entrypoint', what),
    cmd: texts(section, 'Cmd', what),
    workingDir: text(section, 'WorkingDir', what),
    volumes: Object.keys(asObject(section['Volumes'] ?? {}, `${what}.Volumes`)),
    stopSignal: text(section, 'StopSignal', what),
    labels: labels(section, what),
  };
}

function text(section: JsonObject, field: string, what: string): string {
  const value = section[field] ?? '';
  if (typeof value !== 'string') throw protocolError(what, `${field} is not a string`);
  return value;
}

function texts(section: JsonObject, field: string, what: string): readonly string[] {
  return asArray(section[field] ?? [], `${what}.${field}`).map((value) => {
    if (typeof value === 'string') return value;
    throw protocolError(what, `${field} holds something that is not a string`);
  });
}

function labels(section: JsonObject, what: string): Readonly<Record<string, string>> {
  const result: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(asObject(section['Labels'] ?? {}, `${what}.Labels`))) {
    if (typeof value !== 'string') throw protocolError(what, `label "${key}" is not a string`);
    result[key] = value;
  }
  return result;
}
