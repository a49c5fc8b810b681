/** Headers: `rawHeaders` of Node, pairs such as `Headers`, or an object. Only the first two keep repeated headers. */
export type HeadersInput =
  | readonly string[]
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Returns the bearer token of the header `Authorization`, for a route of your own. A token that is bound to a key also
 * needs its proof: give the request to `checkAccessToken`, in place of a token.
 *
 * It is empty where there is none, or more than one: `checkAccessToken` then refuses it. Give it `request.rawHeaders`: of
 * two such headers, `request.headers` keeps only the first one, and a proxy may have checked the other one.
 */
export function bearerToken(headers: HeadersInput): string {
  const turns = inTurns(headers);
  const found = turns.filter((_, at) => at % 2 === 1 && turns[at - 1]?.toLowerCase() === 'authorization');
  return (found.length === 1 && /^Bearer +([!-~]+)$/i.exec(found[0] as string)?.[1]) || '';
}

/** Headers as the addon reads them: names and values in turns. @internal */
export function inTurns(headers: HeadersInput): string[] {
  if (Array.isArray(headers) && (headers.length === 0 || typeof headers[0] === 'string')) return headers as string[];
  const turns: string[] = [];
  if (Symbol.iterator in headers) {
    for (const [name, value] of headers as Iterable<readonly [string, string]>) turns.push(name, value);
    return turns;
  }
  for (const [name, values] of Object.entries(headers)) {
    for (const value of Array.isArray(values) ? values : [values]) {
      if (value !== undefined) turns.push(name, value as string);
    }
  }
  return turns;
}
