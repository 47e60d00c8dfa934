import { expect, test } from 'vitest';
import { machineSettings, parseSize, SettingError } from './settings.ts';

const MIB = 1024 ** 2;

test('without any variable the machine is a plain one without disk and swap', () => {
  expect(machineSettings({})).toEqual({ init: 'plain', memoryBytes: 2048 * MIB, cpus: 2, timeoutSeconds: 600, accelerator: 'any' });
});

test('an empty variable is one that is not set', () => {
  expect(machineSettings({ INIT: '', MEM: '', DISK: '', SWAP: '' })).toEqual(machineSettings({}));
});

test('every variable counts', () => {
  const environment = {
    INIT: 'systemd', MEM: '1G', CPUS: '4', TIMEOUT: '90', DISK: '/tmp/d:256M', SWAP: '64M', POWEROFF_AFTER: '1.5',
    ACCEL: 'tcg', PIDFILE: '/tmp/pid',
  };
  expect(machineSettings(environment)).toEqual({
    init: 'systemd',
    memoryBytes: 1024 * MIB,
    cpus: 4,
    timeoutSeconds: 90,
    disk: { path: '/tmp/d', bytes: 256 * MIB },
    swapBytes: 64 * MIB,
    powerOffAfterSeconds: 1.5,
    accelerator: 'tcg',
    pidFile: '/tmp/pid',
  });
});

test.each([
  ['/tmp/d', '/tmp/d', 1024],
  ['/tmp/a:b', '/tmp/a:b', 1024],
  ['/tmp/a:b:2G', '/tmp/a:b', 2048],
])('the disk %s is at %s and has %d MiB', (text, path, mebibytes) => {
  expect(machineSettings({ DISK: text }).disk).toEqual({ path, bytes: mebibytes * MIB });
});

test.each([
  [{ INIT: 'upstart' }, /^INIT: expected plain or systemd, not "upstart"$/],
  [{ MEM: '512' }, /^MEM: expected a size/],
  [{ MEM: '0M' }, /^MEM: expected a size/],
  [{ SWAP: '-1M' }, /^SWAP: expected a size/],
  [{ DISK: '/tmp/d:12Q' }, /^DISK: expected a size/],
  [{ DISK: '/tmp/a,b' }, /^DISK: .* has a comma/],
  [{ CPUS: '1.5' }, /^CPUS: expected a whole number/],
  [{ CPUS: '0' }, /^CPUS: expected a whole number/],
  [{ TIMEOUT: 'long' }, /^TIMEOUT: expected a number/],
  [{ ACCEL: 'hvf' }, /^ACCEL: expected any or kvm or tcg/],
])('%o is refused', (environment, message) => {
  expect(() => machineSettings(environment)).toThrow(SettingError);
  expect(() => machineSettings(environment)).toThrow(message);
});

test('sizes are powers of 1024', () => {
  expect(parseSize('MEM', '3K')).toBe(3072);
  expect(parseSize('MEM', '3M')).toBe(3 * MIB);
  expect(parseSize('MEM', '3G')).toBe(3 * 1024 * MIB);
});
