import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import type { DeviceIo } from '../../cgroup/readings-parse.ts';
import { one } from './metric-family.ts';
import type { ContainerSource, Family, FileSystem } from './metric-family.ts';

/** Metrics of the file system that holds the writable layer, labelled with the device that it is on. */
function space(name: string, help: string, value: (fileSystem: FileSystem, source: ContainerSource) => number | bigint | undefined): Family<ContainerSource> {
  return {
    name,
    help,
    type: 'GAUGE',
    labels: ['device'],
    samples: (source) => one(value(source.fileSystem, source)).map((sample) => ({ ...sample, labels: [source.fileSystem.device] })),
  };
}

function transfer(name: string, help: string, value: (device: DeviceIo) => string): Family<ContainerSource> {
  return {
    name,
    help,
    type: 'COUNTER',
    labels: ['device'],
    samples: ({ detail }) => (detail.devices ?? []).map((device) => ({ labels: [deviceName(device)], value: value(device) })),
  };
}

export const diskFamilies: readonly Family<ContainerSource>[] = [
  space('container_fs_usage_bytes', 'What the writable layer takes on the disk, in bytes.', (_, { layer }) => layer?.bytes),
  space('container_fs_limit_bytes', 'Size of the file system that holds the writable layer, in bytes.', ({ bytes }) => bytes),
  space('container_fs_inodes_total', 'Inodes of the file system that holds the writable layer.', ({ inodes }) => inodes),
  space('container_fs_inodes_free', 'Free inodes of the file system that holds the writable layer.', ({ inodesFree }) => inodesFree),
  transfer('container_fs_reads_total', 'Reads from a block device.', ({ reads }) => reads),
  transfer('container_fs_reads_bytes_total', 'Bytes read from a block device.', ({ readBytes }) => readBytes),
  transfer('container_fs_writes_total', 'Writes to a block device.', ({ writes }) => writes),
  transfer('container_fs_writes_bytes_total', 'Bytes written to a block device.', ({ writeBytes }) => writeBytes),
  {
    name: 'container_blkio_device_usage_total',
    help: 'Bytes transferred from and to a block device, by operation.',
    type: 'COUNTER',
    labels: ['device', 'major', 'minor', 'operation'],
    samples: ({ detail }) => (detail.devices ?? []).flatMap((device) => {
      const labels = [deviceName(device), device.major, device.minor];
      return [{ labels: [...labels, 'Read'], value: device.readBytes }, { labels: [...labels, 'Write'], value: device.writeBytes }];
    }),
  },
];

/** A block device's name; empty when it has gone. */
function deviceName({ major, minor }: DeviceIo): string {
  try {
    return `/dev/${basename(readlinkSync(`/sys/dev/block/${major}:${minor}`))}`;
  } catch {
    return '';
  }
}
