/** Longest path and longest part of one (limits.h). */
const maxPath = 4095;
const maxPart = 255;

/** What is wrong with a path in the container, whatever is there; undefined for nothing. */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return `"${path}" is not an absolute path`;
  const tooLong = Buffer.byteLength(path) > maxPath || path.split('/').some((part) => Buffer.byteLength(part) > maxPart);
  return tooLong ? `is longer than ${maxPath} bytes, or a part of it than ${maxPart}` : undefined;
}

/** Absolute, without empty parts and dots. Symlinks are the image's, and not looked at. */
export function normalise(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}
