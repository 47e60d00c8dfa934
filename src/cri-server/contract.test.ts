import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readProto, type ProtoField, type ProtoNode } from '../../tools/read-proto.ts';

/** The facts of CRI v1 as they stand in proto/cri/v1/catalogue.json. */
interface Catalogue {
  package: string;
  syntax: string;
  services: Record<
    string,
    Record<string, { request: string; response: string; serverStreaming?: boolean; clientStreaming?: boolean }>
  >;
  /** By message, then by field number: `[repeated] type name [option, …]`. */
  messages: Record<string, Record<string, string>>;
  /** By enum (`Message.Enum` when nested), then by number. */
  enums: Record<string, Record<string, string>>;
}

const protoPath = new URL('../../proto/cri/v1/api.proto', import.meta.url).pathname;
const cataloguePath = new URL('../../proto/cri/v1/catalogue.json', import.meta.url).pathname;
const catalogue = JSON.parse(readFileSync(cataloguePath, 'utf8')) as Catalogue;

/** A field as the catalogue writes it. */
function fieldText(name: string, field: ProtoField): string {
  const type = field.keyType === undefined ? field.type : `map<${field.keyType}, ${field.type}>`;
  const options = Object.entries(field.options ?? {}).map(([option, value]) =>
    value === true ? option : `${option}=${String(value)}`,
  );
  const label = field.rule === undefined ? '' : `${field.rule} `;
  return `${label}${type} ${name}${options.length === 0 ? '' : ` [${options.join(', ')}]`}`;
}

/** The parsed .proto turned into the catalogue's form. */
function describeProto(path: string): Catalogue {
  const services: Catalogue['services'] = {};
  const messages: Catalogue['messages'] = {};
  const enums: Catalogue['enums'] = {};
  const visit = (node: ProtoNode, path: string): void => {
    for (const [name, child] of Object.entries(node.nested ?? {})) {
      const full = path === '' ? name : `${path}.${name}`;
      if (child.methods !== undefined) services[full] = methodsOf(child.methods);
      else if (child.values !== undefined) enums[full] = invert(child.values);
      else if (child.fields !== undefined) {
        messages[full] = Object.fromEntries(
          Object.entries(child.fields).map(([field, spec]) => [String(spec.id), fieldText(field, spec)]),
        );
        visit(child, full);
      } else throw new Error(`what is ${full}?`);
    }
  };
  const names: string[] = [];
  let node = readProto(path);
  while (names.length < 2) {
    const [name, child] = Object.entries(node.nested ?? {})[0] ?? [];
    if (name === undefined || child === undefined) throw new Error('the package has two parts');
    names.push(name);
    node = child;
  }
  visit(node, '');
  const syntax = /^syntax = "(.*)";$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
  return { package: names.join('.'), syntax, services, messages, enums };
}

function methodsOf(methods: NonNullable<ProtoNode['methods']>): Catalogue['services'][string] {
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      {
        request: method.requestType,
        response: method.responseType,
        ...(method.responseStream === true && { serverStreaming: true }),
        ...(method.requestStream === true && { clientStreaming: true }),
      },
    ]),
  );
}

function invert(values: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, number]) => [String(number), name]));
}

describe('api.proto is the CRI v1 contract', () => {
  const proto = describeProto(protoPath);

  test('package and syntax', () => {
    expect({ package: proto.package, syntax: proto.syntax }).toEqual({
      package: catalogue.package,
      syntax: catalogue.syntax,
    });
  });

  test('the catalogue is whole: 43 RPCs', () => {
    const rpcs = Object.values(catalogue.services).flatMap((service) => Object.keys(service));
    expect(rpcs).toHaveLength(43);
    expect(new Set(rpcs).size).toBe(43);
  });

  test.each(Object.keys(catalogue.services))('service %s', (name) => {
    expect(proto.services[name]).toEqual(catalogue.services[name]);
  });

  test.each(Object.keys(catalogue.messages))('message %s', (name) => {
    expect(proto.messages[name]).toEqual(catalogue.messages[name]);
  });

  test.each(Object.keys(catalogue.enums))('enum %s', (name) => {
    expect(proto.enums[name]).toEqual(catalogue.enums[name]);
  });

  test('nothing that the catalogue does not have', () => {
    expect(Object.keys(proto.services).toSorted()).toEqual(Object.keys(catalogue.services).toSorted());
    expect(Object.keys(proto.messages).toSorted()).toEqual(Object.keys(catalogue.messages).toSorted());
    expect(Object.keys(proto.enums).toSorted()).toEqual(Object.keys(catalogue.enums).toSorted());
  });
});
