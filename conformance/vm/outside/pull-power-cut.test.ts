/**
 * The power goes in the middle of pulls, again and again, on one disk. After each cut the store opens, what it lists
 * is whole (by full digests), what was answered is listed, and the next pulls succeed. These start machines themselves.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runMachine } from '../../../tools/vm/machine.ts';
import { passedOn } from '../../../tools/vm/passed-on.ts';
import { machineSettings } from '../../../tools/vm/settings.ts';
import type { Report } from '../power-cut/round.ts';

const project = fileURLToPath(new URL('../../../', import.meta.url));
const LIMIT_SECONDS = 540;
/** When the power goes, as a part of what the pulls take without a cut. */
const CUTS = [0.2, 0.4, 0.6, 0.8, 0.95];

let work = '';
/** Milliseconds that all pulls took. */
let took = 0;
/** Images that were pulled, by the word of berthd, when the power went. */
let answered: readonly string[] = [];
/** Whether the last round ended with a cut. */
let wasCut = false;

beforeAll(async () => {
  work = await mkdtemp(path.join(tmpdir(), 'power-cut-'));
});
afterAll(() => rm(work, { recursive: true, force: true }));

interface Round {
  readonly kind: string;
  readonly told: readonly Partial<Report & { pulled: string; took: number; left: readonly string[] }>[];
}

async function round(when: string): Promise<Round> {
  const heard: { stdout: Uint8Array[]; stderr: Uint8Array[] } = { stdout: [], stderr: [] };
  const sink = (chunks: Uint8Array[]) => ({
    write: (chunk: Uint8Array, done: () => void): void => {
      chunks.push(Uint8Array.from(chunk));
      done();
    },
  });
  const environment = { ...passedOn(process.env), BERTHD: path.join(project, 'dist/berthd'), BERTH_WORLD: '1' };
  const line = `'${process.execPath}' conformance/vm/power-cut/round.ts ${when}`;
  const settings = machineSettings({ TIMEOUT: String(LIMIT_SECONDS), DISK: `${path.join(work, 'disk')}:256M` });
  const { end } = await runMachine(settings, { line, directory: project, environment }, { stdout: sink(heard.stdout), stderr: sink(heard.stderr) });
  const lines = Buffer.concat(heard.stdout).toString().split('\n').filter((text) => text !== '');
  const code = end.kind === 'ended' ? end.code : 0;
  if (code !== 0) throw new Error(`the round ended with ${code}:\n${Buffer.concat(heard.stderr).toString()}`);
  return { kind: end.kind, told: lines.map((text) => JSON.parse(text) as Round['told'][number]) };
}

/** What the last cut left, as this round found it; and what this round pulled. */
function expectWhole({ kind, told: [found, removed, ...rest] }: Round): void {
  expect(found?.verified).toMatchObject({ code: 0, stderr: '' });
  expect(found?.verified?.stdout).not.toContain('BAD');
  expect(found?.listed).toEqual(expect.arrayContaining([...answered]));
  expect(found?.wentDown).toBe(wasCut);
  expect(removed?.left).toEqual([]);
  answered = rest.flatMap(({ pulled }) => pulled ?? []);
  wasCut = kind === 'lost';
  took = rest.find((line) => line.took !== undefined)?.took ?? took;
}

test('without a cut all is pulled', async () => {
  const whole = await round('never');
  expect(whole.kind).toBe('ended');
  expectWhole(whole);
  expect(answered.toSorted()).toEqual(['one', 'three', 'two']);
  expect(took).toBeGreaterThan(0);
}, LIMIT_SECONDS * 1000);

test('an image that was pulled when the power went is there', async () => {
  const cut = await round('answered');
  expect(cut.kind).toBe('lost');
  expectWhole(cut);
  expect(answered).toEqual(['one']);
}, LIMIT_SECONDS * 1000);

test.each(CUTS)('the power goes after %d of the pulls', async (part) => {
  const cut = await round(String(Math.max(1, Math.round(took * part))));
  // A quick round may be over before.
  expect(['lost', 'ended']).toContain(cut.kind);
  expectWhole(cut);
  if (cut.kind === 'ended') expect(answered).toHaveLength(3);
}, LIMIT_SECONDS * 1000);

test('and at the end everything can be pulled, verified and removed', async () => {
  const last = await round('never');
  expect(last.kind).toBe('ended');
  expectWhole(last);
  expect(answered).toHaveLength(3);
}, LIMIT_SECONDS * 1000);
