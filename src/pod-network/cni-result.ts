import { isIP } from 'node:net';

import { asRecord } from './json-record.ts';
import type { JsonRecord } from './json-record.ts';

/** Parses what a plugin printed for ADD. A result without a version is taken to be of the list's. */
export function parseResult(stdout: string, cniVersion: string): JsonRecord {
  let document: unknown;
  try {
    document = JSON.parse(stdout);
  } catch {
    const shown = stdout.trim().slice(0, 200);
    throw new Error(shown === '' ? 'no result on standard output' : `the result is not JSON: ${shown}`);
  }
  const result = asRecord(document);
  if (result === undefined) throw new Error('the result is not a JSON object');
  return result['cniVersion'] === undefined || result['cniVersion'] === '' ? { ...result, cniVersion } : result;
}

/**
 * The addresses of one interface in the pod, without prefix lengths, in the order of the result.
 * An entry without an `interface` index belongs to the interface asked for.
 */
export function resultAddresses(result: JsonRecord, interfaceName: string): readonly string[] {
  const entries = Array.isArray(result['ips']) ? (result['ips'] as unknown[]) : legacyEntries(result);
  const addresses = entries.map(asRecord).filter((entry) => entry !== undefined && belongsTo(entry, result, interfaceName));
  return addresses.map((entry) => plainAddress(entry?.['address'] ?? entry?.['ip']));
}

/** CNI 0.1 and 0.2 results: one `ip4` and one `ip6`. */
function legacyEntries(result: JsonRecord): readonly unknown[] {
  return [result['ip4'], result['ip6']].filter((entry) => entry !== undefined && entry !== null);
}

function belongsTo(entry: JsonRecord, result: JsonRecord, interfaceName: string): boolean {
  const index = entry['interface'];
  const interfaces = result['interfaces'];
  if (typeof index !== 'number' || !Array.isArray(interfaces)) return true;
  const owner = asRecord((interfaces as unknown[])[index]);
  return owner !== undefined && owner['name'] === interfaceName && typeof owner['sandbox'] === 'string' && owner['sandbox'] !== '';
}

function plainAddress(value: unknown): string {
  const address = typeof value === 'string' ? (value.split('/')[0] ?? '') : '';
  if (isIP(address) === 0) throw new Error(`the result has an address that is none: ${JSON.stringify(value)}`);
  return address;
}
