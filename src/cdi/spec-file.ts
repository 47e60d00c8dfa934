import { readFile, stat } from 'node:fs/promises';
import type { ScalarTag } from 'yaml';
import { SpecProblem } from './fields.ts';
import { parseSpec } from './spec.ts';
import type { CdiSpec } from './spec.ts';

/** A file as it was when it was read. */
export interface SpecFile {
  /** Changes with the content. */
  readonly stamp: string;
  readonly spec: CdiSpec | undefined;
  /** Why there is no spec. */
  readonly problem: string;
}

/** Specs of a hundred devices have some 100 KiB. */
const maxBytes = 4 * 1024 * 1024;

/** Aliases may multiply what a small file says. */
const maxAliases = 100;

export function isSpecName(name: string): boolean {
  return name.endsWith('.json') || name.endsWith('.yaml');
}

/** Reads the file unless it is still the one that is `known`. Never throws for what is in it, nor for a file that is gone. */
export async function readSpecFile(path: string, known: SpecFile | undefined): Promise<SpecFile | undefined> {
  try {
    const info = await stat(path, { bigint: true });
    // Not so much as opened: a FIFO would have us wait.
    if (!info.isFile()) return undefined;
    const stamp = [info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].join(':');
    if (known?.stamp === stamp) return known;
    return await parseFile(path, stamp, Number(info.size));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { stamp: '', spec: undefined, problem: message(cause) };
  }
}

async function parseFile(path: string, stamp: string, size: number): Promise<SpecFile> {
  if (size > maxBytes) return { stamp, spec: undefined, problem: `is larger than ${maxBytes} bytes` };
  const text = await readFile(path, 'utf8');
  try {
    const document: unknown = path.endsWith('.json') ? JSON.parse(text) : await parseYaml(text);
    return { stamp, spec: parseSpec(document), problem: '' };
  } catch (cause) {
    return { stamp, spec: undefined, problem: message(cause) };
  }
}

/** The programs that write and read CDI files are Go's, to which 0660 is octal although YAML 1.2 says otherwise. */
const oldOctal: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

/** The reader is loaded when there is a YAML file, which most nodes never have. */
async function parseYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { version: '1.2', schema: 'core', strict: true, uniqueKeys: true, customTags: (tags) => [oldOctal, ...tags] });
  const [first] = [...document.errors, ...document.warnings];
  if (first !== undefined) throw new SpecProblem('', first.message.split('\n')[0] ?? '');
  return document.toJS({ maxAliasCount: maxAliases });
}

function message(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
