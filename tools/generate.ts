/**
 * Generates src/cri-server/generated from the files below proto/: the types of every message and
 * service, and contract.json, the parsed contract that berthd loads instead of parsing the .proto.
 *
 * The output is not kept in git; `npm run generate` makes it in about a second.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readProto } from './read-proto.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const protos = ['proto/cri/v1/api.proto', 'proto/berth/v1/images.proto'];
const output = join(root, 'src/cri-server/generated');

const typeOptions = [
  '--keepCase',
  '--longs=String',
  '--enums=String',
  '--defaults',
  '--oneofs',
  '--grpcLib=@grpc/grpc-js',
  '--importFileExtension=.ts',
];

// Made beside and moved into place, so that whoever reads meanwhile finds the old or the new.
const fresh = `${output}.${process.pid}`;
mkdirSync(fresh, { recursive: true });
execFileSync(
  process.execPath,
  [join(root, 'node_modules/.bin/proto-loader-gen-types'), ...typeOptions, '-O', fresh, ...protos],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);
writeFileSync(join(fresh, 'contract.json'), `${JSON.stringify(readProto(...protos.map((proto) => join(root, proto))))}\n`);
rmSync(output, { recursive: true, force: true });
renameSync(fresh, output);
