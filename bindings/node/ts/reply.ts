import type { ServerResponse } from 'node:http';

/** A reply to write out. */
export class Reply {
  readonly status: number;
  /** Names and values in turns, as `rawHeaders` of Node. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;

  constructor(status: number, rawHeaders: readonly string[], body: Buffer) {
    this.status = status;
    this.rawHeaders = rawHeaders;
    this.body = body;
  }

  /** The headers as pairs, for `new Headers(…)` or `new Map(…)`. */
  get headers(): [string, string][] {
    const pairs: [string, string][] = [];
    for (let at = 0; at < this.rawHeaders.length; at += 2) {
      pairs.push([this.rawHeaders[at] as string, this.rawHeaders[at + 1] as string]);
    }
    return pairs;
  }

  /** Writes the reply to a response of `node:http`, which those of Express and Koa are. */
  writeTo(response: ServerResponse): void {
    for (let at = 0; at < this.rawHeaders.length; at += 2) {
      response.setHeader(this.rawHeaders[at] as string, this.rawHeaders[at + 1] as string);
    }
    response.setHeader('Content-Length', this.body.length);
    response.writeHead(this.status);
    response.end(this.body);
  }

  /** The reply as a `Response` of the Fetch API. */
  toResponse(): Response {
    const body = this.body.length > 0 ? new Uint8Array(this.body) : null;
    return new Response(body, { status: this.status, headers: this.headers });
  }
}
