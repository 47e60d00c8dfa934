/** Parses .proto files into protobufjs' JSON form, with the very parser that @grpc/proto-loader uses. */
import { createRequire } from 'node:module';
import type * as Protobuf from 'protobufjs';

/** The parsed files: namespaces, messages, enums and services, nested as they are declared. */
export type ProtoNode = Readonly<{
  nested?: Readonly<Record<string, ProtoNode>>;
  fields?: Readonly<Record<string, ProtoField>>;
  values?: Readonly<Record<string, number>>;
  methods?: Readonly<Record<string, ProtoMethod>>;
  reserved?: readonly unknown[];
}>;

export type ProtoField = Readonly<{
  id: number;
  type: string;
  rule?: string;
  keyType?: string;
  options?: Readonly<Record<string, unknown>>;
}>;

export type ProtoMethod = Readonly<{
  requestType: string;
  responseType: string;
  requestStream?: boolean;
  responseStream?: boolean;
}>;

export function readProto(...paths: readonly string[]): ProtoNode {
  // protobufjs comes with @grpc/proto-loader and is resolved from there, so that both parse alike.
  const nearLoader = createRequire(createRequire(import.meta.url).resolve('@grpc/proto-loader'));
  const { Root } = nearLoader('protobufjs') as typeof Protobuf;
  const root = new Root();
  root.loadSync([...paths], { keepCase: true });
  return root.toJSON({ keepComments: false }) as ProtoNode;
}
