/** The body of a page, or undefined while nobody answers. Leaves no connection open. */
export async function get(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(5000) });
    return await answer.text();
  } catch {
    return undefined;
  }
}
