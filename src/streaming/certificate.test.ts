import { X509Certificate, createPrivateKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { generateCertificate } from './certificate.ts';

const now = new Date('2026-11-21T12:00:00Z');

test('it is a certificate for its host and for loopback, signed with its key', () => {
  const { key, cert } = generateCertificate('10.1.2.3', now);
  const certificate = new X509Certificate(cert);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
  for (const address of ['10.1.2.3', '127.0.0.1', '::1']) expect(certificate.checkIP(address)).toBe(address);
  expect(certificate.checkHost('localhost')).toBe('localhost');
  expect(certificate.checkIP('10.1.2.4')).toBeUndefined();
  expect(certificate.ca).toBe(false);
  expect(certificate.subject).toBe('CN=berthd');
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(new Date(certificate.validFrom).toISOString()).toBe('2026-11-20T12:00:00.000Z');
  expect(new Date(certificate.validTo).toISOString()).toBe('2036-11-18T12:00:00.000Z');
});

test.each(['2001:db8::5', 'fe80::1:2:3:4', '1:2:3:4:5:6:7:8', '::'])('address %s', (address) => {
  expect(new X509Certificate(generateCertificate(address, now).cert).checkIP(address)).toBe(address);
});

test('a name, and no name', () => {
  expect(new X509Certificate(generateCertificate('node-1.example', now).cert).checkHost('node-1.example')).toBe('node-1.example');
  expect(new X509Certificate(generateCertificate('', now).cert).subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
});

test('one that lasts beyond 2049 has its time in the longer form', () => {
  const certificate = new X509Certificate(generateCertificate('', new Date('2045-01-01T00:00:00Z')).cert);
  expect(new Date(certificate.validTo).getUTCFullYear()).toBe(2054);
});

test('no two are alike', () => {
  const [one, other] = [generateCertificate('', now), generateCertificate('', now)].map(({ cert }) => new X509Certificate(cert));
  expect(one?.serialNumber).not.toBe(other?.serialNumber);
  expect(one?.serialNumber).toMatch(/^[4-7]/);
});
