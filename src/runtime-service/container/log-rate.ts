import { maxLogRate } from '../../config/settings.ts';
import { invalidField } from '../../errors/catalogue.ts';

/** A pod's own limit for the log of each of its containers: bytes a second, with a suffix such as k, M, Ki or Mi; 0 for no limit. */
export const logRateAnnotation = 'berth.dev/log-rate-limit';

const factors: ReadonlyMap<string, number> = new Map([
  ['', 1], ['k', 1e3], ['M', 1e6], ['G', 1e9], ['Ki', 2 ** 10], ['Mi', 2 ** 20], ['Gi', 2 ** 30],
]);

/** Bytes a second that a container of this pod may log; 0 for no limit. Throws INVALID_FIELD for an annotation that is no such number. */
export function logRate(annotations: Readonly<Record<string, string>>, setting: number): number {
  const text = annotations[logRateAnnotation];
  if (text === undefined) return setting;
  const [, digits, suffix] = /^(\d{1,15})([kMG]|[KMG]i)?$/.exec(text) ?? [];
  const rate = Number(digits ?? NaN) * (factors.get(suffix ?? '') ?? NaN);
  if (Number.isNaN(rate) || rate > maxLogRate) {
    throw invalidField(`sandbox_config.annotations["${logRateAnnotation}"]`, `"${text}" is no number of bytes a second up to ${maxLogRate}, such as 65536 or 64Ki`);
  }
  return rate;
}
