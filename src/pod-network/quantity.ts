/**
 * Kubernetes quantities, as in resource limits and the bandwidth annotations: a decimal number with
 * a binary suffix (Ki … Ei), a decimal suffix (n, u, m, none, k … E) or an exponent (1e3, 1E3).
 * Source: the grammar above `type Quantity` in the Kubernetes API documentation.
 */

const grammar = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,3})?$/;

const binarySuffixes = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimalExponents: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

/** The whole value, rounded up in magnitude as Kubernetes does; undefined when it is not a quantity. */
export function parseQuantity(text: string): bigint | undefined {
  const match = grammar.exec(text);
  if (match === null) return undefined;
  const [, sign = '', digits = '', suffix = ''] = match;
  const point = digits.indexOf('.');
  const fraction = point < 0 ? '' : digits.slice(point + 1);
  const mantissa = BigInt((point < 0 ? digits : digits.slice(0, point)) + fraction);
  const exponent = decimalExponent(suffix) - fraction.length;
  // Kubernetes caps at 2^63-1; the same bound keeps a long exponent from making a huge integer.
  if (exponent > 40) return undefined;
  const factor = 1024n ** BigInt(binarySuffixes.indexOf(suffix) + 1) * 10n ** BigInt(Math.max(exponent, 0));
  const divisor = 10n ** BigInt(Math.max(-exponent, 0));
  const value = (mantissa * factor + divisor - 1n) / divisor;
  return sign === '-' ? -value : value;
}

function decimalExponent(suffix: string): number {
  if (/^[eE][+-]?\d/.test(suffix)) return Number(suffix.slice(1));
  return decimalExponents[suffix] ?? 0;
}
