// Headless Chromium, and what people do in it.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    // A name that is not of this machine, as far as the browser knows: what it loads over http is not secure.
    "--host-resolver-rules=MAP insecure.example 127.0.0.1"],
});

/** The page at a URL, of a host that writes codes to an outbox. Pictures go into a folder. */
export function site(url, outbox, folder) {
  mkdirSync(folder, { recursive: true });

  /** Opens the page as a new visitor. What goes wrong in the page fails the test. */
  async function visit(options = {}) {
    return tab(await browser.newContext({ viewport: { width: 1000, height: 900 }, ...options }));
  }

  /** Opens the page in one more tab. */
  async function tab(context) {
    const page = await context.newPage();
    page.setDefaultTimeout(5000);
    page.problems = [];
    page.on("pageerror", (error) => page.problems.push(String(error)));
    page.on("console", (message) => {
      // A refusal of the server is no fault of the page, and neither is a page that is opened over http.
      const isExpected = /Failed to load resource|Cross-Origin-Opener-Policy header has been ignored/.test(message.text());
      if (message.type() === "error" && !isExpected) page.problems.push(message.text());
    });
    await page.goto(url);
    await focusIs(page, "phone");
    return page;
  }

  /**
   * What every scenario ends with: no fault in the page, and nothing kept but what was asked for, until it is used, and
   * a key that can't be read, until a user signs out; and what remembers a device, where its user asked for that.
   */
  async function leave(page, pending = false, devices = 0) {
    assert.deepEqual(page.problems, []);
    const kept = await page.evaluate(() => [localStorage.length, document.cookie, location.href]);
    assert.deepEqual(kept, [devices, "", `${url}/`]);
    const [challenge, ...others] = await page.evaluate(() => Object.values(sessionStorage));
    assert.equal(others.length, 0);
    assert.equal(challenge !== undefined, pending, challenge);
    // Neither a code nor a token that logs in.
    const members = ["address", "attemptsLeft", "channel", "codeEndsAt", "endsAt", "jkt", "length", "otpToken", "resendAt", "verifier"];
    for (const member of Object.keys(JSON.parse(challenge ?? "{}"))) assert.ok(members.includes(member), member);
    for (const key of await keysIn(page)) {
      assert.deepEqual([key.members, key.type, key.extractable, key.exports], [["jwk", "privateKey", "thumbprint"], "private", false, 0]);
    }
    await page.context().close();
  }

  /** Takes a picture, and checks what a program can check of accessibility, and that nothing is cut off. */
  async function look(page, name) {
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    const { scrollWidth, clientWidth } = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return { scrollWidth, clientWidth };
    });
    assert.ok(scrollWidth <= clientWidth, `${name}: ${scrollWidth} px in ${clientWidth} px`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run());
    const found = violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html).join(" ")}`);
    assert.deepEqual(found, [], name);
  }

  const outgoing = () => readFileSync(outbox, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  // A number is sent to as the server reads it.
  const codeFor = (address) => outgoing().findLast((line) => [address, `+86${address}`].includes(line.to)).code;
  const messages = () => outgoing().length;

  return { codeFor, leave, look, messages, tab, url, visit };
}

/** Everything that the databases of the page's origin have. */
export async function keysIn(page) {
  return page.evaluate(async () => {
    const done = (request) => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const found = [];
    for (const { name } of (await globalThis.indexedDB?.databases()) ?? []) {
      const database = await done(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        for (const kept of await done(database.transaction(store).objectStore(store).getAll())) {
          const { privateKey } = kept;
          const exported = await Promise.allSettled(["jwk", "pkcs8", "raw", "spki"].map((as) => crypto.subtle.exportKey(as, privateKey)));
          found.push({
            members: Object.keys(kept).sort(), thumbprint: kept.thumbprint, jwk: kept.jwk,
            type: privateKey.type, extractable: privateKey.extractable,
            exports: exported.filter(({ status }) => status === "fulfilled").length,
          });
        }
      }
      database.close();
    }
    return found;
  });
}

export async function focusIs(page, id) {
  await page.waitForFunction((id) => document.activeElement?.id === id, id);
}

export async function textIs(page, id, pattern) {
  await page.waitForFunction(
    ([id, source]) => new RegExp(source).test(document.getElementById(id).textContent),
    [id, pattern.source],
  ).catch(async () => assert.match(await page.textContent(`#${id}`), pattern));
}

export const wrong = (code, by = 1) => code.slice(0, -1) + ((Number(code.at(-1)) + by) % 10);

/** Goes to the control of an id as somebody without a mouse does. */
export async function tabTo(page, id, key = "Tab") {
  for (let presses = 0; presses < 20; presses += 1) {
    if (await page.evaluate((id) => document.activeElement?.id === id, id)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${id} can't be reached with ${key}`);
}

export async function askForCode(page, address) {
  await page.keyboard.type(address);
  await page.keyboard.press("Enter");
  await focusIs(page, "code");
}

export async function enter(page, text) {
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

/** Runs scenarios in turn, and tells which failed. */
export async function run(scenarios) {
  for (const scenario of scenarios) {
    try {
      await scenario();
    } catch (error) {
      throw new Error(scenario.name, { cause: error });
    }
  }
}
