/** Reads the imports of TypeScript files, by text: enough for code whose imports stand at line starts. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import type { Import } from './layers.ts';

/**
 * `import … from '…'`, `export … from '…'` and `import '…'`, over several lines too, and `import('…')`.
 * Comments are blanked first. Data (.json) has no layer.
 */
const statement = /^(import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm;

const comment = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm;

export function importsOf(from: string, text: string): Import[] {
  const code = text.replaceAll(comment, (found) => found.replaceAll(/[^\n]/g, ' '));
  return [...code.matchAll(statement)].flatMap((match) => {
    const specifier = match[3] ?? match[4] ?? '';
    if (!specifier.startsWith('.') || specifier.endsWith('.json')) return [];
    return {
      from,
      to: posix.normalize(posix.join(dirname(from), specifier)),
      typeOnly: match[2] !== undefined,
      line: code.slice(0, match.index).split('\n').length,
    };
  });
}

/** Files that the layering holds for: not tests, which may reach anywhere, and not what is generated. */
export function sourceFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.includes('generated/'))
    .toSorted();
}

export function importsBelow(root: string): Import[] {
  return sourceFiles(root).flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')));
}
