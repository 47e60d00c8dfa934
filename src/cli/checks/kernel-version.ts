/** Whether a release as uname(2) gives it (`6.12.3-x`) is of a version or later; false when it cannot be read. */
export function isAtLeast(kernel: string, [major, minor]: readonly [number, number]): boolean {
  const [, haveMajor, haveMinor] = /^(\d+)\.(\d+)/.exec(kernel)?.map(Number) ?? [];
  if (haveMajor === undefined || haveMinor === undefined || Number.isNaN(haveMinor)) return false;
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}
