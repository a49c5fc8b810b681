// A single-page application on another origin than the host, in headless Chromium: cross_origin.js FOLDER HOST PORT
//
// HOST is the folder of a host, with its `outbox`, its `log` and a file with its `url`. PORT is where the application is. One
// server has it under three names, which are three origins: that of the clients `spa` and `bound`, that of another client,
// and a foreign one.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { browser, run } from "./browser.js";

const [folder, host, port] = process.argv.slice(2);
const issuer = readFileSync(`${host}/url`, "utf8").trim();
const [OWN, OTHER, FOREIGN] = ["localhost", "other.localhost", "127.0.0.1"].map((name) => `http://${name}:${port}`);
mkdirSync(folder, { recursive: true });

const messages = () => readFileSync(`${host}/outbox`, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const code = () => messages().at(-1).code;
/** The requests that the host answered: method, path and status. */
const answered = () => [...readFileSync(`${host}/log`, "utf8").matchAll(
  /method="?(\w+)"? path="?([^" }]+)"?.*?answered status=(\d+)/g,
)].map(([, ...found]) => found.join(" "));

async function open(origin, client, bound = false) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(5000);
  await page.goto(`${origin}/?${new URLSearchParams({ issuer, client, ...(bound ? { bound } : {}) })}`);
  await page.waitForSelector("[data-ready]");
  return page;
}

/** Does something in the application, and gives what it shows. */
async function result(page, work) {
  await page.evaluate(() => { document.getElementById("result").textContent = ""; });
  await work();
  await page.waitForFunction(() => document.getElementById("result").textContent);
  return JSON.parse(await page.textContent("#result"));
}

const send = (page, phone) => result(page, async () => {
  await page.fill("[name=phone]", phone);
  await page.click("#send button");
});
const redeem = (page, otp) => result(page, async () => {
  await page.fill("[name=code]", otp);
  await page.click("#redeem button");
});
const press = (page, id) => result(page, () => page.click(`#${id}`));

async function theApplicationSignsIn() {
  const page = await open(OWN, "spa");
  const phone = "+8613700000001";
  const sent = await send(page, phone);
  assert.equal(sent.status, 200, JSON.stringify(sent));
  const limited = await send(page, phone);
  assert.deepEqual([limited.status, limited.body.error], [400, "sms_rate_limit_exceeded"]);
  assert.ok(Number(limited.headers["retry-after"]) > 0, JSON.stringify(limited));
  const wrong = await redeem(page, "000000" === code() ? "000001" : "000000");
  assert.deepEqual([wrong.status, wrong.body.attempts_remaining], [400, 4]);
  const login = await redeem(page, code());
  assert.deepEqual([login.status, login.body.token_type], [200, "Bearer"]);
  assert.equal((await press(page, "userinfo")).body.sub, "user-1");
  const refreshed = await press(page, "refresh");
  assert.equal(refreshed.status, 200);
  assert.notEqual(refreshed.body.access_token, login.body.access_token);
  assert.deepEqual([(await press(page, "revoke")).status, (await press(page, "userinfo")).status], [200, 401]);
  await page.screenshot({ path: `${folder}/70-another-origin.png` });
  await page.context().close();
  const seen = answered();
  for (const path of ["/otp/send", "/oauth2/token", "/userinfo"]) {
    assert.ok(seen.includes(`OPTIONS ${path} 204`), `no preflight of ${path}: ${seen.join(", ")}`);
  }
}

async function theApplicationBindsItsTokens() {
  const page = await open(OWN, "bound", true);
  const sent = await send(page, "+8613700000002");
  // The page can read the nonce, or it would have failed.
  assert.equal(sent.status, 200, JSON.stringify(sent));
  assert.ok(sent.headers["dpop-nonce"], JSON.stringify(sent.headers));
  assert.ok(sent.headers.date);
  const login = await redeem(page, code());
  assert.deepEqual([login.status, login.body.token_type], [200, "DPoP"]);
  assert.equal((await press(page, "userinfo")).body.sub, "user-2");
  const refreshed = await press(page, "refresh");
  assert.deepEqual([refreshed.status, refreshed.body.token_type], [200, "DPoP"]);
  assert.equal((await press(page, "userinfo")).status, 200);
  assert.equal((await press(page, "revoke")).status, 200);
  const over = await press(page, "userinfo");
  assert.deepEqual([over.status, /^DPoP .*invalid_token/.test(over.headers["www-authenticate"])], [401, true], JSON.stringify(over));
  await page.context().close();
}

/** Neither a foreign page nor that of another client reaches the authorization server. */
async function otherPagesAreRefused() {
  const before = messages().length;
  for (const [origin, preflight] of [[FOREIGN, 403], [OTHER, 204]]) {
    const seen = answered().length;
    const page = await open(origin, "spa");
    const sent = await send(page, "+8613700000003");
    assert.deepEqual([sent.status, sent.error], [undefined, "TypeError: Failed to fetch"], origin);
    // Without a preflight, and without reading the answer: what every page of the web can do.
    const url = `${issuer}/oauth2/token`;
    await page.evaluate((url) => fetch(url, {
      method: "POST", mode: "no-cors", body: new URLSearchParams({ client_id: "spa", grant_type: "refresh_token", refresh_token: "a" }),
    }), url);
    await page.evaluate((url) => new Promise((resolve) => {
      const form = Object.assign(document.createElement("form"), { method: "POST", action: url, target: "frame" });
      const frame = Object.assign(document.createElement("iframe"), { name: "frame" });
      form.append(Object.assign(document.createElement("input"), { name: "client_id", value: "spa" }));
      document.body.append(frame, form);
      form.submit();
      frame.addEventListener("load", resolve);
    }), url);
    const later = answered().slice(seen);
    assert.ok(later.includes(`OPTIONS /otp/send ${preflight}`), later.join(", "));
    assert.equal(later.filter((line) => line === "POST /oauth2/token 403").length, 2, later.join(", "));
    assert.ok(!later.some((line) => /^(GET|POST) \/o\S+ (?!403)/.test(line)), later.join(", "));
    await page.context().close();
  }
  assert.equal(messages().length, before);
  // The page of the other client can use that client.
  const page = await open(OTHER, "other");
  assert.equal((await send(page, "+8613700000004")).status, 200);
  await page.context().close();
}

try {
  await run([theApplicationSignsIn, theApplicationBindsItsTokens, otherPagesAreRefused]);
  console.log(`${OWN}: an application on another origin signed in at ${issuer}, and other origins did not`);
} finally {
  await browser.close();
}
