// A request that is dropped at each of its steps leaves its code, its session and its counts usable or spent, and never
// half.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from 'otp-grant';
import { directory, Host, PHONE, wrong } from './support.mjs';

/** Counts the questions that reach the ports, and aborts after the one with a number. */
class Interruption {
  constructor() {
    this.asked = [];
    this.stopAt = Infinity;
    this.begin(Infinity);
  }

  begin(stopAt) {
    this.controller = new AbortController();
    this.stopAt = stopAt;
    this.asked = [];
  }

  wrap(port, methods, isAsync) {
    const wrapped = {};
    for (const method of methods) {
      wrapped[method] = (...parts) => {
        this.asked.push(method);
        const answer = port[method](...parts);
        if (this.asked.length === this.stopAt) this.controller.abort();
        return isAsync ? Promise.resolve(answer) : answer;
      };
    }
    return wrapped;
  }
}

const DIRECTORY = ['client', 'authSource', 'userByAddress', 'userBySubject', 'userClaims', 'signUp'];

function hostWith(interruption, isAsync) {
  return new Host({
    store: interruption.wrap(new MemoryStore(), ['load', 'swap'], isAsync),
    directory: interruption.wrap(directory(), DIRECTORY, isAsync),
  });
}

async function dropped(call, interruption, stopAt) {
  interruption.begin(stopAt);
  try {
    return await call({ signal: interruption.controller.signal });
  } catch (error) {
    assert.equal(error.name, 'AbortError');
    return undefined;
  }
}

for (const isAsync of [false, true]) {
  describe(isAsync ? 'with ports that return promises' : 'with ports that return at once', () => {
    test('a login', async () => {
      let stopAt = 0;
      let reply;
      const outcomes = [];
      do {
        stopAt += 1;
        const interruption = new Interruption();
        const host = hostWith(interruption, isAsync);
        const sent = await host.send();
        const code = host.codeFor();
        reply = await dropped((options) => host.redeem(sent.json.otp_token, code, {}, options), interruption, stopAt);
        const spentAt = interruption.asked.filter((method) => method === 'swap').length;
        interruption.begin(Infinity);
        const again = await host.redeem(sent.json.otp_token, code);
        outcomes.push(again.status);
        // Three swaps: the guess, the session, and the code, which is spent by the last.
        assert.equal(again.status, spentAt < 3 ? 200 : 400, `step ${stopAt}`);
        // One code has logged in once, at most, as far as a client can tell.
        if (again.status === 200) {
          assert.equal((await host.redeem(sent.json.otp_token, code)).status, 400);
          await host.server.checkAccessToken(again.json.access_token);
          assert.equal((await host.refresh(again.json.refresh_token)).status, 200);
        }
      } while (reply === undefined);
      assert.equal(reply.status, 200);
      assert(outcomes.filter((status) => status === 200).length >= 5, String(outcomes));
    });

    test('a guess: it is counted at most once', async () => {
      let stopAt = 0;
      let reply;
      do {
        stopAt += 1;
        const interruption = new Interruption();
        const host = hostWith(interruption, isAsync);
        const sent = await host.send();
        const guess = wrong(host.codeFor());
        reply = await dropped((options) => host.redeem(sent.json.otp_token, guess, {}, options), interruption, stopAt);
        const isCounted = interruption.asked.includes('swap');
        interruption.begin(Infinity);
        const { json } = await host.redeem(sent.json.otp_token, guess);
        assert.equal(json.attempts_remaining, isCounted ? 3 : 4, `step ${stopAt}`);
        assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 200);
      } while (reply === undefined);
    });

    test('a refresh', async () => {
      let stopAt = 0;
      let reply;
      do {
        stopAt += 1;
        const interruption = new Interruption();
        const host = hostWith(interruption, isAsync);
        const tokens = await host.logIn();
        reply = await dropped((options) => host.refresh(tokens.refresh_token, options), interruption, stopAt);
        interruption.begin(Infinity);
        // The answer was lost: the same token gets the successor, and the session goes on.
        const again = await host.refresh(tokens.refresh_token);
        assert.equal(again.status, 200, `step ${stopAt}`);
        if (reply) assert.equal(again.json.refresh_token, reply.json.refresh_token);
        assert.equal((await host.refresh(again.json.refresh_token)).status, 200);
      } while (reply === undefined);
    });

    test('a sign-out', async () => {
      let stopAt = 0;
      let reply;
      do {
        stopAt += 1;
        const interruption = new Interruption();
        const host = hostWith(interruption, isAsync);
        const tokens = await host.logIn();
        reply = await dropped((options) => host.revoke(tokens.refresh_token, options), interruption, stopAt);
        const isOver = interruption.asked.includes('swap');
        interruption.begin(Infinity);
        assert.equal((await host.refresh(tokens.refresh_token)).status, isOver ? 400 : 200, `step ${stopAt}`);
        assert.equal((await host.revoke(tokens.refresh_token)).status, 200);
      } while (reply === undefined);
    });

    test('a send', async () => {
      let stopAt = 0;
      let reply;
      do {
        stopAt += 1;
        const interruption = new Interruption();
        const host = hostWith(interruption, isAsync);
        reply = await dropped((options) => host.send(PHONE, options), interruption, stopAt);
        const isCounted = interruption.asked.includes('swap');
        interruption.begin(Infinity);
        const again = await host.send();
        assert.equal(again.status, isCounted ? 400 : 200, `step ${stopAt}`);
        host.clock.advance(31_000);
        const later = await host.send();
        assert.equal((await host.redeem(later.json.otp_token, host.codeFor())).status, 200);
      } while (reply === undefined);
    });
  });
}

test('a request that was aborted before it began asks nothing', async () => {
  const interruption = new Interruption();
  const host = hostWith(interruption, false);
  await assert.rejects(host.send(PHONE, { signal: AbortSignal.abort(new Error('gone')) }), /gone/);
  assert.deepEqual(interruption.asked, []);
});
