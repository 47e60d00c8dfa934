/** A certificate of our own, for TLS without one of the operator's: self-signed, made anew at each start, never written to disk. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';

export interface KeyAndCertificate {
  /** PEM, PKCS #8. */
  readonly key: string;
  /** PEM. */
  readonly cert: string;
}

const dayMs = 86_400_000;
/** Longer than any daemon runs without a restart. */
const validDays = 3650;

/** For `host` (a name or an address), `localhost` and the loopback addresses. X.509 version 3, ECDSA on P-256. */
export function generateCertificate(host: string, now: Date): KeyAndCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from('berthd')))));
  const algorithm = der(0x30, oid('2a8648ce3d040302'));
  // The top bit would make the serial number negative.
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name,
    der(0x30, time(new Date(now.getTime() - dayMs)), time(new Date(now.getTime() + validDays * dayMs))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, ...extensions(host))),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)]);
  const certificate = der(0x30, body, algorithm, der(0x03, signature));
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, cert: pem(certificate) };
}

/** Who it is for, and that it is a server's and nobody's authority (RFC 5280, section 4.2.1). */
function extensions(host: string): Buffer[] {
  const names = [...new Set([host, 'localhost', '127.0.0.1', '::1'])].filter((name) => name !== '').map(generalName);
  return [
    extension('551d11', der(0x30, ...names)),
    extension('551d13', der(0x30)),
    extension('551d25', der(0x30, oid('2b06010505070301'))),
  ];
}

function extension(id: string, value: Buffer): Buffer {
  return der(0x30, oid(id), der(0x04, value));
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? der(0x82, Buffer.from(name, 'latin1')) : der(0x87, addressBytes(name));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) throw new RangeError(`${address} is no address`);
  const [head = '', tail] = new SocketAddress({ address, family: 'ipv6' }).address.split('::');
  const groups = (text: string | undefined): number[] => (text === undefined || text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [first, last] = [groups(head), groups(tail)];
  const whole = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  return Buffer.from(whole.flatMap((group) => [group >> 8, group & 0xff]));
}

/** UTCTime up to 2049, GeneralizedTime after. */
function time(date: Date): Buffer {
  const text = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

/** One value in DER (X.690): tag, length, content. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.from(body.length.toString(16).padStart(body.length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
