/** `node tools/check-layers.ts [DIR]`: fails when an import in src/ (or DIR) points up, sideways or in a circle. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importsBelow, sourceFiles } from './imports.ts';
import { findCycles, importProblem } from './layers.ts';

const root = process.argv[2] ?? join(dirname(dirname(fileURLToPath(import.meta.url))), 'src');
const imports = importsBelow(root);
const problems = imports.flatMap((found) => {
  const problem = importProblem(found);
  return problem === undefined ? [] : [`${found.from}:${found.line}: ${problem} (${found.to})`];
});
const cycles = findCycles(imports).map((cycle) => `cycle: ${[...cycle, cycle[0]].join(' → ')}`);

for (const line of [...problems, ...cycles]) process.stderr.write(`${line}\n`);
process.stdout.write(`layers: ${sourceFiles(root).length} files, ${imports.length} imports, ${problems.length + cycles.length} wrong\n`);
process.exitCode = problems.length + cycles.length === 0 ? 0 : 1;
