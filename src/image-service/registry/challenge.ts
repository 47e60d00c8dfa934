/** The WWW-Authenticate header (RFC 9110 section 11.6.1; token form: distribution spec "token authentication"). */

export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const quoted = /"((?:[^"\\]|\\.)*)"/y;
const separators = /[\s,]*/y;

/** Challenges in the order of the header; what does not parse ends the list. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = skip(header, 0);
  while (at < header.length) {
    const word = match(token, header, at);
    if (word === undefined) break;
    at += word[0].length;
    const current = challenges.at(-1);
    if (header[at] === '=' && current !== undefined) {
      const value = match(quoted, header, at + 1) ?? match(token, header, at + 1);
      if (value === undefined) break;
      at += 1 + value[0].length;
      current.parameters[word[0].toLowerCase()] = unquote(value);
    } else {
      challenges.push({ scheme: word[0].toLowerCase(), parameters: Object.create(null) as Record<string, string> });
    }
    at = skip(header, at);
  }
  return challenges;
}

function unquote(value: RegExpExecArray): string {
  return value[1] === undefined ? value[0] : value[1].replace(/\\(.)/g, '$1');
}

function skip(text: string, at: number): number {
  return at + (match(separators, text, at)?.[0].length ?? 0);
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}
