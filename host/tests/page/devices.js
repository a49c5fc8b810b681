// A device that is remembered on the login page, in headless Chromium: devices.js FOLDER HOST
//
// HOST is the folder of a host, with its `outbox` and a file with its `url`. It has no limit of messages.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { askForCode, browser, enter, focusIs, run, site, tabTo, textIs, wrong } from "./browser.js";

const [folder, host] = process.argv.slice(2);
const { codeFor, leave, look, url, visit } = site(readFileSync(`${host}/url`, "utf8").trim(), `${host}/outbox`, folder);
const number = (last) => `+86137${String(last).padStart(8, "0")}`;

/** Uses up the guesses of an address, as anybody can who may send. */
async function lock(address) {
  const post = async (path, members) => {
    const reply = await fetch(`${url}${path}`, {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ client_id: "page", auth_source_id: "sms", phone_number: address, ...members }),
    });
    return { status: reply.status, ...await reply.json() };
  };
  for (let sends = 0; sends < 8; sends += 1) {
    const { status, otp_token } = await post("/otp/send", {});
    if (status !== 200) return;
    const otp = wrong(codeFor(address));
    const grant_type = "http://tencentciam.com/oauth2/grant-type/otp/sms";
    for (let guesses = 0; guesses < 5; guesses += 1) await post("/oauth2/token", { grant_type, otp_token, otp });
  }
  assert.fail("the address is not locked");
}

/** Signs in, and has the device remembered or not. */
async function signIn(page, address, remember) {
  await askForCode(page, address);
  assert.equal(await page.isVisible("#remember"), true);
  assert.equal(await page.isChecked("#remember"), false);
  if (remember) {
    await tabTo(page, "remember");
    await page.keyboard.press("Space");
    await look(page, "60-remember");
    await tabTo(page, "code", "Shift+Tab");
  }
  await enter(page, codeFor(address));
  await focusIs(page, "signed-in");
}

async function signOut(page) {
  await tabTo(page, "sign-out");
  await page.keyboard.press("Enter");
  await textIs(page, "notice", /signed out/);
}

async function aRememberedDeviceIsNotLocked() {
  const address = number(200);
  const page = await visit();
  await signIn(page, address, true);
  assert.equal(await page.isVisible("#forget-device"), true);
  await look(page, "61-remembered");
  await signOut(page);
  await lock(address);
  // The address is not in plain sight.
  const kept = await page.evaluate(() => JSON.stringify(Object.entries(localStorage)));
  assert.ok(!kept.includes("137"), kept);

  await askForCode(page, address);
  assert.equal(await page.isVisible("#remember"), false);
  const asked = page.waitForRequest((request) => request.url().endsWith("/oauth2/token"));
  await enter(page, codeFor(address));
  const sent = JSON.parse((await asked).postData());
  assert.ok(sent.device_token && sent.remember_device);
  await focusIs(page, "signed-in");
  await signOut(page);
  await leave(page, false, 1);
}

async function anotherDeviceIsToldUntilWhenTheAddressIsLocked() {
  const address = number(201);
  await lock(address);
  const page = await visit();
  await enter(page, address);
  await textIs(page, "error", /^Signing in with this phone number is locked for now: .* in (23 hours|1 day).*, on \w+ at \d\d:\d\d\. A device that remembers you is not locked\.$/);
  await look(page, "62-locked");
  await leave(page);
}

async function aDeviceIsForgotten() {
  const address = number(202);
  const page = await visit();
  await signIn(page, address, true);
  await tabTo(page, "forget-device");
  await page.keyboard.press("Enter");
  await textIs(page, "notice", /does not remember you/);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  assert.equal(await page.isVisible("#forget-device"), false);
  await signOut(page);
  await leave(page);
}

async function aTickStaysThroughANewCode() {
  const address = number(205);
  const page = await visit();
  await askForCode(page, address);
  await page.check("#remember");
  await page.waitForFunction(() => !document.getElementById("resend").disabled);
  await page.click("#resend");
  await textIs(page, "notice", /once more/);
  assert.equal(await page.isChecked("#remember"), true);
  await page.focus("#code");
  await enter(page, codeFor(address));
  await focusIs(page, "signed-in");
  assert.equal(await page.isVisible("#forget-device"), true);
  // Another spelling of the number is the same number.
  await signOut(page);
  await askForCode(page, `${address.slice(0, 3)} ${address.slice(3)}`);
  await page.waitForTimeout(100);
  assert.equal(await page.isVisible("#remember"), false);
  await leave(page, true, 1);
}

async function nobodyIsRememberedUnasked() {
  const page = await visit();
  await signIn(page, number(203), false);
  assert.equal(await page.isVisible("#forget-device"), false);
  await signOut(page);
  await leave(page);
}

async function aChallengeIsToldInPlainWords() {
  const page = await visit();
  await page.route("**/otp/send", (route) =>
    route.fulfill({ status: 400, contentType: "application/json", body: JSON.stringify({ error: "challenge_required" }) }));
  await enter(page, number(204));
  await textIs(page, "error", /^We can't send a code there from here right now/);
  await leave(page);
}

try {
  await run([
    aRememberedDeviceIsNotLocked, anotherDeviceIsToldUntilWhenTheAddressIsLocked, aDeviceIsForgotten, aTickStaysThroughANewCode,
    nobodyIsRememberedUnasked,
    aChallengeIsToldInPlainWords,
  ]);
  console.log("devices: a device that is remembered is not locked");
} finally {
  await browser.close();
}
