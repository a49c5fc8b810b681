// What the login page proves to the server, in headless Chromium: proofs.js FOLDER ACCEPTED REQUIRED NONCE OFF
//
// The last four are the folders of hosts, named by how their configuration has the page's client. Each folder has the
// `outbox` of its host and a file with its `url`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { askForCode, browser, enter, focusIs, keysIn, run, site, textIs, wrong } from "./browser.js";
// As another page would use it; the only thing that Node does not have is IndexedDB.
import { proofOf } from "./proof.js";

const [folder, ...hosts] = process.argv.slice(2);
const [accepted, required, nonce, off] = hosts.map((host) =>
  site(readFileSync(`${host}/url`, "utf8").trim(), `${host}/outbox`, folder));

/** Records what the page asks of the server from now on. Gives a function that waits for so many requests. */
function listen(page) {
  const heard = [];
  const note = async (request) => {
    const path = new URL(request.url()).pathname;
    if (path.startsWith("/page/") || path === "/") return;
    const { dpop, authorization } = await request.allHeaders();
    const [header, claims] = dpop ? dpop.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url"))) : [];
    const reply = await request.response();
    const body = request.postData();
    const sent = body?.startsWith("{") ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body ?? ""));
    const text = await reply.text();
    heard.push({ path, header, claims, authorization, sent, status: reply.status(), reply: text ? JSON.parse(text) : null });
  };
  // A page that closes meanwhile has no more to tell; what is missing is noticed where it is waited for.
  page.on("requestfinished", (request) => note(request).catch(() => {}));
  return async (count) => {
    for (let tries = 0; heard.length < count && tries < 200; tries += 1) await new Promise((done) => setTimeout(done, 20));
    assert.equal(heard.length, count, heard.map(({ path, status }) => `${path} ${status}`).join());
    return heard.splice(0);
  };
}

const sha256 = (text) => createHash("sha256").update(text).digest("base64url");
const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

/** Asks the token endpoint as somebody who is not the page. */
async function redeem(at, refreshToken, headers = {}) {
  const body = new URLSearchParams({ grant_type: "refresh_token", client_id: "page", refresh_token: refreshToken });
  const reply = await fetch(`${at.url}/oauth2/token`, { method: "POST", body, headers });
  return { status: reply.status, nonce: reply.headers.get("DPoP-Nonce"), ...await reply.json() };
}

async function theLoginIsBoundToAKeyAndAVerifier() {
  const page = await required.visit();
  const asked = listen(page);
  await askForCode(page, "+8613700000001");
  const [send] = await asked(1);
  assert.deepEqual([send.header.typ, send.header.alg], ["dpop+jwt", "ES256"]);
  // The issuer of the configuration, and not the address at which the page was opened.
  assert.deepEqual([send.claims.htm, send.claims.htu], ["POST", "https://login.example.com/otp/send"]);
  assert.equal(send.sent.code_challenge_method, "S256");
  const [{ jwk, thumbprint }] = await keysIn(page);
  assert.deepEqual(send.header.jwk, jwk);

  await page.reload();
  await focusIs(page, "code");
  // A resend repeats both, so that the server sends the same code.
  const code = required.codeFor("+8613700000001");
  await page.click("#resend");
  await textIs(page, "notice", /once more/);
  const [resent] = await asked(1);
  assert.equal(resent.sent.code_challenge, send.sent.code_challenge);
  assert.deepEqual(resent.header.jwk, jwk);
  assert.notEqual(resent.claims.jti, send.claims.jti);
  assert.equal(required.codeFor("+8613700000001"), code);
  await enter(page, wrong(code));
  await textIs(page, "attempts", /^4 attempts left\.$/);
  await asked(1);
  await page.reload();
  await focusIs(page, "code");
  await enter(page, code);
  await focusIs(page, "signed-in");
  const [token] = await asked(1);
  assert.equal(sha256(token.sent.code_verifier), send.sent.code_challenge);
  assert.match(token.sent.code_verifier, /^[A-Za-z0-9_-]{43}$/);
  assert.deepEqual(token.header.jwk, jwk);
  assert.equal(token.claims.htu, "https://login.example.com/oauth2/token");
  const { access_token, refresh_token, token_type } = token.reply;
  assert.deepEqual([token_type, claimsOf(access_token).cnf], ["DPoP", { jkt: thumbprint }]);
  assert.ok(await page.isVisible("#bound"));
  await required.look(page, "23-bound");

  // The tokens alone are worth nothing.
  const bearer = await fetch(`${required.url}/userinfo`, { headers: { Authorization: `Bearer ${access_token}` } });
  assert.equal(bearer.status, 401);
  assert.equal((await redeem(required, refresh_token)).error, "invalid_dpop_proof");
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const thief = { privateKey: pair.privateKey, jwk: { kty, crv, x, y } };
  const proof = (url) => proofOf(thief, { method: "POST", url, issuedAt: Math.floor(Date.now() / 1000) });
  const stolen = await redeem(required, refresh_token, { DPoP: await proof("https://login.example.com/oauth2/token") });
  assert.deepEqual([stolen.status, stolen.error], [400, "invalid_grant"]);

  // And the session of whoever has the key goes on.
  await page.click("#refresh");
  await textIs(page, "notice", /fresh/);
  await page.click("#userinfo");
  await focusIs(page, "profile-title");
  const [refreshed, userinfo] = await asked(2);
  assert.deepEqual(claimsOf(refreshed.reply.access_token).cnf, { jkt: thumbprint });
  assert.equal(userinfo.authorization, `DPoP ${refreshed.reply.access_token}`);
  assert.deepEqual([userinfo.claims.htm, userinfo.claims.ath], ["GET", sha256(refreshed.reply.access_token)]);

  await page.click("#sign-out");
  await textIs(page, "notice", /^You are signed out\.$/);
  const [revoked] = await asked(1);
  assert.deepEqual([revoked.status, revoked.header], [200, undefined]);
  assert.deepEqual(await keysIn(page), []);
  await required.leave(page);
}

/** The tokens are gone with a reload; the key is not, and refreshes them for a page that would have kept them. */
async function theKeyOutlivesAReload() {
  const page = await accepted.visit({ viewport: { width: 390, height: 800 }, isMobile: true, hasTouch: true });
  const asked = listen(page);
  await askForCode(page, "+8613700000002");
  await enter(page, accepted.codeFor("+8613700000002"));
  await focusIs(page, "signed-in");
  await accepted.look(page, "24-phone-bound");
  const [, token] = await asked(2);
  const { refresh_token } = token.reply;
  const unproved = await redeem(accepted, refresh_token);
  assert.deepEqual([unproved.status, unproved.error], [400, "invalid_grant"]);

  const [before] = await keysIn(page);
  await page.reload();
  await focusIs(page, "phone");
  assert.equal(await page.textContent("#tokens"), "");
  const status = await page.evaluate(async ([refreshToken, origin]) => {
    const { askWithProof, findKey } = await import("/page/proof.js");
    const [{ name }] = await indexedDB.databases();
    const body = new URLSearchParams({ grant_type: "refresh_token", client_id: "page", refresh_token: refreshToken });
    const reply = await askWithProof(await findKey(name), { method: "POST", url: `${origin}/oauth2/token` }, (headers) =>
      fetch("/oauth2/token", { method: "POST", headers, body }));
    await reply.text();
    return reply.status;
  }, [refresh_token, "https://login.example.com"]);
  assert.equal(status, 200);
  await asked(1);
  await askForCode(page, "+8613700000002");
  const [send] = await asked(1);
  assert.deepEqual(send.header.jwk, before.jwk);
  await accepted.leave(page, true);
}

async function theServerWantsNonces() {
  const page = await nonce.visit();
  const asked = listen(page);
  await askForCode(page, "+8613700000003");
  const [first, second] = await asked(2);
  assert.deepEqual([first.status, first.reply.error, first.claims.nonce], [400, "use_dpop_nonce", undefined]);
  assert.equal(second.status, 200);
  assert.ok(second.claims.nonce);
  assert.notEqual(second.claims.jti, first.claims.jti);
  assert.deepEqual(second.sent, first.sent);
  // From then on the newest nonce is at hand.
  await enter(page, nonce.codeFor("+8613700000003"));
  await focusIs(page, "signed-in");
  await page.click("#refresh");
  await textIs(page, "notice", /fresh/);
  await page.click("#userinfo");
  await focusIs(page, "profile-title");
  for (const { status, claims } of await asked(3)) assert.deepEqual([status, Boolean(claims.nonce)], [200, true]);

  // The server takes another nonce each time, and is asked only once more.
  let count = 0;
  await page.route("**/oauth2/token", (route) => {
    count += 1;
    return route.fulfill({
      status: 400, contentType: "application/json", headers: { "DPoP-Nonce": `n${count}` },
      body: JSON.stringify({ error: "use_dpop_nonce" }),
    });
  });
  await page.click("#refresh");
  await textIs(page, "error", /did not accept what this browser proved/);
  assert.equal(count, 2);
  await page.unroute("**/oauth2/token");
  await asked(2);
  // The newest nonce is that of the last reply, also of a success. This one is not the server's.
  await page.route("**/oauth2/token", async (route) => {
    const response = await route.fetch();
    const changed = response.ok() ? { "dpop-nonce": "newest" } : {};
    await route.fulfill({ response, headers: { ...response.headers(), ...changed } });
  });
  await page.click("#refresh");
  await textIs(page, "notice", /fresh/);
  assert.deepEqual((await asked(2)).map(({ status }) => status), [400, 200]);
  await page.unroute("**/oauth2/token");
  await page.click("#userinfo");
  await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
  const [unknown, known] = await asked(2);
  assert.deepEqual([unknown.status, unknown.claims.nonce, known.status], [401, "newest", 200]);
  await page.click("#sign-out");
  await textIs(page, "notice", /signed out/);
  await nonce.leave(page);
}

/** Ten minutes slow, and ten minutes fast: the page learns the time of the server. */
async function theClockOfTheBrowserIsWrong() {
  for (const [host, minutes, requests] of [[required, -10, 2], [required, 10, 2], [nonce, -10, 3]]) {
    const context = await browser.newContext();
    await context.addInitScript((ahead) => {
      const now = Date.now;
      Date.now = () => now() + ahead;
    }, minutes * 60_000);
    const page = await host.tab(context);
    const asked = listen(page);
    const address = `+86137000001${minutes + 20}`;
    await askForCode(page, address);
    const sends = await asked(requests);
    assert.deepEqual([sends[0].reply.error, sends.at(-1).status], ["invalid_dpop_proof", 200]);
    await enter(page, host.codeFor(address));
    await focusIs(page, "signed-in");
    await page.click("#userinfo");
    await focusIs(page, "profile-title");
    // What was learned is kept.
    for (const { status } of await asked(2)) assert.equal(status, 200);
    await host.leave(page);
  }
}

/** Opens the page where it can't have a key, in one of several ways. */
async function withoutKey(host, way) {
  const context = await browser.newContext();
  await context.addInitScript((way) => {
    if (way === "no database") Object.defineProperty(globalThis, "indexedDB", { value: undefined });
    if (way === "refused") IDBFactory.prototype.open = () => { throw new DOMException("no", "SecurityError"); };
    // A private window of Firefox.
    if (way === "not stored") IDBObjectStore.prototype.put = () => { throw new DOMException("no", "DataCloneError"); };
  }, way);
  const insecure = way === "insecure" ? { ...host, tab: site(host.url.replace("127.0.0.1", "insecure.example"), "", folder).tab } : host;
  return insecure.tab(context);
}

async function aBrowserThatKeepsNoKeySignsInWithout() {
  for (const [number, way] of ["no database", "refused", "not stored", "insecure"].entries()) {
    const page = await withoutKey(accepted, way);
    const asked = listen(page);
    const address = `+861370000020${number}`;
    await askForCode(page, address);
    const [send] = await asked(1);
    assert.equal(send.header, undefined, way);
    // Hashing needs a secure context as well.
    assert.equal(send.sent.code_challenge === undefined, way === "insecure", way);
    await page.reload();
    await focusIs(page, "code");
    await enter(page, accepted.codeFor(address));
    await focusIs(page, "signed-in");
    await page.click("#userinfo");
    await focusIs(page, "profile-title");
    const [token, userinfo] = await asked(2);
    assert.deepEqual([token.reply.token_type, userinfo.authorization], ["Bearer", `Bearer ${token.reply.access_token}`]);
    assert.ok(await page.isHidden("#bound"));
    await page.click("#sign-out");
    await textIs(page, "notice", /signed out/);
    assert.deepEqual(page.problems, [], way);
    await page.context().close();
  }
}

async function aBrowserThatKeepsNoKeyIsTold() {
  for (const way of ["no database", "refused", "not stored", "insecure"]) {
    const page = await withoutKey(required, way);
    const asked = listen(page);
    await textIs(page, "error", /^You can't sign in with this browser here: it can't keep the key/);
    await required.look(page, "25-no-key");
    await enter(page, "+8613700000210");
    await textIs(page, "error", /^You can't sign in with this browser here: it can't keep the key/);
    await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
    await asked(0);
    assert.deepEqual(page.problems, [], way);
    await page.context().close();
  }
}

async function aChallengeIsRequiredWhereNoneCanBeMade() {
  const page = await withoutKey(off, "insecure");
  await enter(page, "+8613700000211");
  await textIs(page, "error", /^You can't sign in with this browser here/);
  await page.context().close();
}

async function theHostReadsNoProofs() {
  const page = await off.visit();
  const asked = listen(page);
  await askForCode(page, "+8613700000004");
  await enter(page, off.codeFor("+8613700000004"));
  await focusIs(page, "signed-in");
  const [send, token] = await asked(2);
  assert.deepEqual([send.header, token.header], [undefined, undefined]);
  assert.equal(sha256(token.sent.code_verifier), send.sent.code_challenge);
  assert.deepEqual(await keysIn(page), []);
  assert.deepEqual(await page.evaluate(() => indexedDB.databases()), []);
  await off.leave(page);
}

async function tabsShareAKey() {
  const context = await browser.newContext();
  const first = await accepted.tab(context);
  const second = await accepted.tab(context);
  const open = (page) => page.evaluate(async () => (await (await import("/page/proof.js")).openKey("test")).thumbprint);
  const [one, other] = await Promise.all([open(first), open(second)]);
  assert.equal(one, other);
  // A key that was made since then is not the one to forget.
  assert.equal(await first.evaluate(async () => {
    const { forgetKey, openKey } = await import("/page/proof.js");
    await forgetKey("test", { thumbprint: "another" });
    return (await openKey("test")).thumbprint;
  }), one);
  await first.evaluate(() => new Promise((done) => { indexedDB.deleteDatabase("test").onsuccess = done; }));

  // A user signs out in one tab while a code is awaited in another. That code was for the key that is gone.
  await askForCode(first, "+8613700000005");
  await second.bringToFront();
  await askForCode(second, "+8613700000006");
  await enter(second, accepted.codeFor("+8613700000006"));
  await focusIs(second, "signed-in");
  await second.click("#sign-out");
  await textIs(second, "notice", /signed out/);
  assert.deepEqual(await keysIn(second), []);
  await first.reload();
  await focusIs(first, "phone");
  await askForCode(first, "+8613700000005");
  await enter(first, accepted.codeFor("+8613700000005"));
  await focusIs(first, "signed-in");
  assert.deepEqual(second.problems, []);
  await accepted.leave(first);
}

/** A lost answer does not cost the user a second, different code. */
async function anAnswerIsLost() {
  const page = await accepted.visit();
  const asked = listen(page);
  await page.route("**/otp/send", async (route) => {
    await route.fetch();
    await route.abort();
  });
  await enter(page, "+8613700000007");
  await textIs(page, "error", /can't be reached/);
  const code = accepted.codeFor("+8613700000007");
  await page.unroute("**/otp/send");
  await page.keyboard.press("Enter");
  await focusIs(page, "code");
  await asked(1);
  assert.equal(accepted.codeFor("+8613700000007"), code);
  await enter(page, code);
  await focusIs(page, "signed-in");
  await accepted.leave(page);
}

/** What an older version of the page has asked for is still good. */
async function theHostIsUpdatedInBetween() {
  const page = await accepted.visit();
  await askForCode(page, "+8613700000008");
  const body = JSON.stringify({ client_id: "page", auth_source_id: "sms", usage: "login", phone_number: "+8613700000009" });
  const reply = await fetch(`${accepted.url}/otp/send`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  const { otp_token } = await reply.json();
  await page.evaluate((otpToken) => {
    const [place] = Object.keys(sessionStorage);
    const { jkt, verifier, ...older } = JSON.parse(sessionStorage.getItem(place));
    sessionStorage.setItem(place, JSON.stringify({ ...older, otpToken, address: "+8613700000009" }));
  }, otp_token);
  const asked = listen(page);
  await page.reload();
  await focusIs(page, "code");
  await enter(page, accepted.codeFor("+8613700000009"));
  await focusIs(page, "signed-in");
  const [token] = await asked(1);
  assert.deepEqual([token.sent.code_verifier, token.reply.token_type], [undefined, "DPoP"]);
  await accepted.leave(page);
}

try {
  await run([
    theLoginIsBoundToAKeyAndAVerifier, theKeyOutlivesAReload, theServerWantsNonces, theClockOfTheBrowserIsWrong,
    aBrowserThatKeepsNoKeySignsInWithout, aBrowserThatKeepsNoKeyIsTold, aChallengeIsRequiredWhereNoneCanBeMade,
    theHostReadsNoProofs, tabsShareAKey, anAnswerIsLost, theHostIsUpdatedInBetween,
  ]);
  console.log("proofs: the page binds codes and tokens to itself, where it can");
} finally {
  await browser.close();
}
