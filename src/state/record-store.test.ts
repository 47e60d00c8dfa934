import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isObject, RecordStore } from './record-store.ts';
import type { StoredRecord } from './record-store.ts';

interface Sample extends StoredRecord {
  readonly text: string;
}

let directory: string;
let store: RecordStore<Sample>;

function parse(value: unknown): Sample {
  if (!isObject(value) || !('text' in value)) throw new Error('no sample');
  return value as Sample;
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-records-'));
  store = new RecordStore(join(directory, 'records'), parse);
  await store.load();
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

const sample = (id: string, text = 'x'): Sample => ({ version: 1, id, text });
const file = (id: string) => join(store.directoryOf(id), 'record.json');

test('what is saved is loaded, and nothing else lies beside it', async () => {
  await Promise.all([store.save(sample('a')), store.save(sample('b', 'y'))]);
  const { records, broken } = await store.load();
  expect(records.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([sample('a'), sample('b', 'y')]);
  expect(broken).toEqual([]);
  expect(await readdir(store.directoryOf('a'))).toEqual(['record.json']);
});

test('the last state asked for is the state on disk', async () => {
  const saves = Array.from({ length: 50 }, (_, index) => store.save(sample('a', String(index))));
  await Promise.all(saves);
  expect(JSON.parse(await readFile(file('a'), 'utf8'))).toEqual(sample('a', '49'));
});

test('the record at hand is the one saved, whatever becomes of the object later', async () => {
  const record = { version: 1, id: 'a', text: 'then' };
  const saved = store.save(record);
  record.text = 'now';
  await saved;
  expect((await store.load()).records[0]?.text).toBe('then');
});

test('a removal comes after the writes asked for before it, and before those asked for after', async () => {
  const first = store.save(sample('a'));
  const removal = store.remove('a');
  await Promise.all([first, removal]);
  expect((await store.load()).records).toEqual([]);
  await Promise.all([store.remove('a'), store.save(sample('a', 'again'))]);
  expect((await store.load()).records).toEqual([sample('a', 'again')]);
});

test('removes everything beside the record, and succeeds on what is gone', async () => {
  await store.save(sample('a'));
  await mkdir(join(store.directoryOf('a'), 'upper', 'deep'), { recursive: true });
  await store.remove('a');
  await store.remove('a');
  expect(await readdir(join(directory, 'records'))).toEqual([]);
});

test('a torn write of a replacement leaves the record as it was', async () => {
  await store.save(sample('a'));
  await writeFile(join(store.directoryOf('a'), 'record.json.new'), '{"version":1,"id":');
  expect((await store.load()).records).toEqual([sample('a')]);
});

test('records that do not load are named with the reason and left alone; the others load', async () => {
  await store.save(sample('good'));
  for (const [id, text] of [['torn', '{"version":1'], ['empty', ''], ['alien', '{"version":1,"id":"alien"}'], ['swapped', '{"version":1,"id":"other","text":""}']]) {
    await mkdir(store.directoryOf(id as string));
    await writeFile(file(id as string), text as string);
  }
  await mkdir(join(store.directoryOf('lost'), 'upper'), { recursive: true });
  const { records, broken } = await store.load();
  expect(records).toEqual([sample('good')]);
  expect(broken.map(({ id }) => id).toSorted()).toEqual(['alien', 'empty', 'lost', 'swapped', 'torn']);
  expect(broken.find(({ id }) => id === 'swapped')?.reason).toContain('other');
  expect(await readFile(file('torn'), 'utf8')).toBe('{"version":1');
});

test('a directory that never got its first record is cleared away', async () => {
  await mkdir(store.directoryOf('empty'));
  await mkdir(store.directoryOf('begun'));
  await writeFile(join(store.directoryOf('begun'), 'record.json.new'), '{"ver');
  expect(await store.load()).toEqual({ records: [], broken: [] });
  expect(await readdir(join(directory, 'records'))).toEqual([]);
});

test('a record that cannot be written is STATE_FAILED, and the next one is tried all the same', async () => {
  await writeFile(store.directoryOf('a'), 'a file in the way');
  await expect(store.save(sample('a'))).rejects.toMatchObject({ code: 'STATE_FAILED' });
  await rm(store.directoryOf('a'));
  await store.save(sample('a'));
  expect((await store.load()).records).toEqual([sample('a')]);
});
