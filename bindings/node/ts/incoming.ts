import type { IncomingMessage } from 'node:http';

/**
 * Reads the body of a request, at most 64 KiB or a little more: the server can then report that a body is too long. A
 * server whose `limits.body` is not less than that needs a higher `limit`.
 *
 * Returns `undefined` when the client fell silent or went away. A body that was cut short must not be taken for a whole
 * one.
 */
export function readBody(request: IncomingMessage, limit = MOST_READ): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const timer = setTimeout(() => end(undefined), PATIENCE);
    const end = (body: Buffer | undefined): void => {
      clearTimeout(timer);
      request.off('data', read).off('end', whole).off('close', lost).off('error', lost);
      // An `error` event without a listener would end the process.
      request.on('error', () => {});
      resolve(body);
    };
    const read = (chunk: Buffer): void => {
      chunks.push(chunk);
      length += chunk.length;
      if (length < limit) return;
      request.pause();
      end(Buffer.concat(chunks));
    };
    const whole = (): void => end(request.complete ? Buffer.concat(chunks) : undefined);
    const lost = (): void => end(undefined);
    request.on('data', read).on('end', whole).on('close', lost).on('error', lost);
    if (request.destroyed && !request.readableEnded) lost();
  });
}

/** More than the 16 KiB that the server accepts by default. */
export const MOST_READ = 65_536;

/** How long a client can take to send a body, in milliseconds. */
const PATIENCE = 10_000;
