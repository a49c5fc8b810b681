// Signs in on the login page in headless Chromium: page.js URL OUTBOX FOLDER

import assert from "node:assert/strict";
import { askForCode, browser, enter, focusIs, run, site, tabTo, textIs, wrong } from "./browser.js";

const [url, outbox, folder] = process.argv.slice(2);
const { codeFor, leave, look, messages, tab, visit } = site(url, outbox, folder);

async function byKeyboardAlone() {
  const page = await visit();
  await textIs(page, "phone-help", /^Such as [\d ]+, or with \+ and the country code\.$/);
  await look(page, "1-address");
  await enter(page, "12");
  await textIs(page, "error", /not a phone number/);
  await focusIs(page, "phone");
  assert.equal(await page.getAttribute("#phone", "aria-invalid"), "true");
  await look(page, "2-malformed");
  // What was wrong is selected: typing replaces it.
  await askForCode(page, "13612345678");
  assert.deepEqual(
    await page.$eval("#code", (field) => [field.autocomplete, field.inputMode, field.autofocus]),
    ["one-time-code", "numeric", true],
  );
  await textIs(page, "sent", /code of 6 digits to 13612345678/);
  const wait = async () => Number((await page.textContent("#resend")).match(/in (\d+) s/)[1]);
  const before = await wait();
  assert.ok(before > 20 && before <= 30 && await page.isDisabled("#resend"));
  await look(page, "3-code");

  await enter(page, "12");
  await textIs(page, "error", /has 6 digits/);
  const code = codeFor("13612345678");
  await enter(page, wrong(code));
  await textIs(page, "attempts", /^4 attempts left\.$/);
  await textIs(page, "error", /wrong or too old.*ask for a new one/);
  await focusIs(page, "code");
  await look(page, "4-wrong-code");
  await page.waitForFunction((before) => Number(resend.textContent.match(/in (\d+) s/)[1]) < before, before);

  let access = page.waitForResponse((reply) => reply.url().endsWith("/oauth2/token"));
  // As it is copied from a message, and in part with the digits of an ideographic keyboard.
  const wide = (digits) => digits.replace(/./g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0));
  await enter(page, `${wide(code.slice(0, 3))} ${code.slice(3)}`);
  access = (await (await access).json()).access_token;
  await focusIs(page, "signed-in");
  assert.deepEqual(await page.$$eval("#tokens h3", (titles) => titles.map((title) => title.textContent)),
    ["ID token", "Access token", "Refresh token"]);
  await textIs(page, "tokens", /MOCK_USER_ID/);
  await textIs(page, "tokens", /\(5 minutes after it was issued\)/);
  await textIs(page, "remaining", /good for (4 minutes|5 minutes)/);
  await look(page, "5-signed-in");

  const tokenNumber = () => page.$$eval("#tokens dl > div", (rows) =>
    rows.filter((row) => row.querySelector("code").textContent === "jti").map((row) => row.lastChild.textContent).join());
  const first = await tokenNumber();
  await tabTo(page, "refresh");
  await page.keyboard.press("Enter");
  await textIs(page, "notice", /fresh/);
  assert.notEqual(await tokenNumber(), first);
  await tabTo(page, "userinfo");
  await page.keyboard.press("Space");
  await focusIs(page, "profile-title");
  await textIs(page, "profile", /Mock User/);
  await look(page, "6-userinfo");
  await tabTo(page, "sign-out", "Shift+Tab");
  await page.keyboard.press("Enter");
  await textIs(page, "notice", /^You are signed out\.$/);
  await focusIs(page, "phone");
  assert.equal(await page.textContent("#tokens"), "");
  // The next user of this tab does not see the number.
  const shown = await page.evaluate(() => [document.body.textContent, ...[...document.querySelectorAll("input")].map((i) => i.value)]);
  assert.ok(!shown.join().replaceAll("Sign in as 13612345678", "").includes("13612345678"), shown.join());
  const api = `Basic ${btoa("API_CLIENT_ID:API_CLIENT_SECRET")}`;
  const introspected = await fetch(`${url}/oauth2/introspect`, {
    method: "POST", headers: { Authorization: api }, body: new URLSearchParams({ token: access }),
  });
  assert.deepEqual(await introspected.json(), { active: false });
  await look(page, "7-signed-out");
  await leave(page);
}

/** On a small phone: somebody without an account. */
async function unknownAddress() {
  const page = await visit({ viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
  await look(page, "8-phone-address");
  await tabTo(page, "");
  await page.locator("input[value=sms]").focus();
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.isVisible("#email") && await page.isHidden("#phone"));
  await page.locator("#email").focus();
  await enter(page, "nobody@");
  await textIs(page, "error", /not an e-mail address/);
  const address = "somebody.with.a.rather.long.name@mail.example.com";
  await askForCode(page, address);
  const code = codeFor(address);
  await enter(page, code);
  await focusIs(page, "create");
  await look(page, "9-phone-sign-up");
  await page.keyboard.press("Enter");
  await focusIs(page, "signed-in");
  await look(page, "10-phone-signed-in");
  await page.click("#sign-out");
  await textIs(page, "notice", /signed out/);
  await leave(page);
}

async function lockedUserInTheDark() {
  const page = await visit({ colorScheme: "dark" });
  await look(page, "11-dark-address");
  await askForCode(page, "13600000000");
  await look(page, "12-dark-code");
  await enter(page, codeFor("13600000000"));
  await textIs(page, "error", /locked or not active/);
  await look(page, "13-dark-locked");
  await leave(page, true);
  const active = await visit({ colorScheme: "dark" });
  await askForCode(active, "+8613700000001");
  await enter(active, codeFor("+8613700000001"));
  await active.click("#create");
  await focusIs(active, "signed-in");
  await look(active, "14-dark-signed-in");
  await leave(active);
}

/** Somebody asks too often, guesses too often, and asks again when they may. */
async function again() {
  const address = "+8613700000002";
  const page = await visit();
  await askForCode(page, address);
  const other = await visit();
  await enter(other, address);
  await textIs(other, "error", /only just now to this phone number\. Please try again in \d+ seconds?\./);
  await look(other, "15-throttled");
  await leave(other);

  // Back and forth needs no second message.
  await page.click("#change");
  await focusIs(page, "phone");
  await page.keyboard.press("Enter");
  await focusIs(page, "code");
  await textIs(page, "notice", /a moment ago/);

  const code = codeFor(address);
  for (const [guess, left] of [[1, /^4 a/], [2, /^3 a/], [3, /^2 a/], [4, /^1 attempt left/]]) {
    await enter(page, wrong(code, guess));
    await textIs(page, "attempts", left);
  }
  await enter(page, wrong(code, 5));
  await textIs(page, "error", /the last attempt/);
  await enter(page, code);
  await textIs(page, "error", /can't be used any more/);
  await look(page, "16-no-attempts");
  await page.waitForSelector("#resend:enabled", { timeout: 40_000 });
  await page.click("#resend");
  await focusIs(page, "code");
  await textIs(page, "notice", /once more/);
  assert.equal(await page.textContent("#attempts"), "");
  await enter(page, codeFor(address));
  await focusIs(page, "create");
  await leave(page, true);
}

/** The message is read elsewhere, and the page is loaded again. */
async function reloadWhileReading() {
  const address = "+8613700000004";
  const page = await visit({ viewport: { width: 390, height: 800 }, isMobile: true, hasTouch: true });
  await askForCode(page, address);
  const sent = messages();
  const code = codeFor(address);
  await page.reload();
  await focusIs(page, "code");
  await textIs(page, "sent", /code of 6 digits to \+8613700000004/);
  assert.match(await page.textContent("#resend"), /in (1\d|2\d|30) s/);
  await enter(page, wrong(code));
  await textIs(page, "attempts", /^4 attempts left\.$/);
  await page.reload();
  await textIs(page, "attempts", /^4 attempts left\.$/);
  await look(page, "17-phone-reloaded");
  // Another page in the same tab, and back; and the address of the page once more.
  await page.goto("about:blank");
  await page.goBack();
  await focusIs(page, "code");
  await page.goto("about:blank");
  await page.goto(url);
  await focusIs(page, "code");
  assert.equal(messages(), sent);
  await enter(page, `Your code is ${code}. Do not tell it to anybody, for 180 seconds.`);
  await focusIs(page, "create");
  await page.keyboard.press("Enter");
  await focusIs(page, "signed-in");
  await look(page, "18-phone-signed-in");
  await page.goBack();
  assert.ok(await page.isVisible("#signed-in"));
  await page.click("#sign-out");
  await textIs(page, "notice", /signed out/);
  await focusIs(page, "phone");
  assert.equal(await page.inputValue("#phone"), "");
  // What is over stays over.
  await page.goForward();
  await focusIs(page, "phone");
  await page.reload();
  await focusIs(page, "phone");
  await leave(page);
}

async function backAndForth() {
  const address = "somebody.else@example.com";
  const page = await visit();
  await page.locator("input[value=email]").check();
  await page.locator("#email").focus();
  await askForCode(page, address);
  const sent = messages();
  await page.goBack();
  await focusIs(page, "email");
  assert.equal(await page.inputValue("#email"), address);
  await look(page, "19-back");
  await page.goForward();
  await focusIs(page, "code");
  await page.goBack();
  await focusIs(page, "email");
  // It was left on purpose.
  await page.reload();
  await focusIs(page, "email");
  assert.equal(await page.inputValue("#email"), address);
  await page.keyboard.press("Enter");
  await focusIs(page, "code");
  await textIs(page, "notice", /a moment ago/);
  assert.equal(messages(), sent);
  await page.click("#change");
  await focusIs(page, "email");
  await page.goForward();
  await enter(page, codeFor(address));
  await focusIs(page, "create");
  await leave(page, true);
}

async function twoTabs() {
  const first = await visit();
  await askForCode(first, "+86 137 0000 0005");
  const code = codeFor("+8613700000005");
  const sent = messages();
  const second = await tab(first.context());
  // A tab learns of it only by the address.
  await askForCode(second, "+8613700000005");
  await textIs(second, "notice", /a moment ago/);
  assert.equal(messages(), sent);
  await enter(second, code);
  await focusIs(second, "create");
  await second.keyboard.press("Enter");
  await focusIs(second, "signed-in");
  await textIs(first, "notice", /^This code was used in another tab\.$/);
  await focusIs(first, "phone");
  assert.equal(await first.inputValue("#phone"), "");
  await look(first, "20-used-elsewhere");
  assert.deepEqual(first.problems, []);
  await leave(second);
}

/** Every script has its digits, and what can't be a code costs no attempt. */
async function digits() {
  const scripts = { "Arabic": 0x660, "Persian": 0x6f0, "Devanagari": 0x966, "Bengali": 0x9e6, "full-width": 0xff10, "Thai": 0xe50 };
  for (const [number, [name, zero]] of Object.entries(scripts).entries()) {
    const page = await visit();
    const inScript = (text) => text.replace(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)));
    const address = `+861370000001${number}`;
    await askForCode(page, inScript(address));
    let asked = 0;
    page.on("request", (request) => { asked += request.url().endsWith("/oauth2/token") ? 1 : 0; });
    const code = codeFor(address);
    for (const none of ["", "abc", code.slice(1), `${code}0`, `${code} ${wrong(code)}`, "12a456"]) {
      await page.fill("#code", none);
      await page.keyboard.press("Enter");
      await textIs(page, "error", /has 6 digits/);
      await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
    }
    assert.equal(asked, 0, name);
    await page.fill("#code", inScript(code));
    await page.keyboard.press("Enter");
    await focusIs(page, "create");
    assert.equal(asked, 1, name);
    await leave(page, true);
  }
}

/** What the server says of time is told, and why there is no code. */
async function whatIsTold() {
  const page = await visit();
  let answer;
  await page.route("**/otp/send", (route) => route.fulfill({ contentType: "application/json", ...answer, body: JSON.stringify(answer.body) }));
  const limit = { error: "sms_rate_limit_exceeded" };
  answer = { status: 503, headers: { "Retry-After": "29" }, body: { error: "temporarily_unavailable" } };
  await enter(page, "+8613700000020");
  await textIs(page, "error", /^The code could not be sent\. Please try again in 29 seconds\.$/);
  answer = { status: 400, headers: { "Retry-After": "27" }, body: limit };
  await page.keyboard.press("Enter");
  await textIs(page, "error", /^The code could not be sent to this phone number\. You can ask for it again in 27 seconds\.$/);
  await look(page, "21-not-delivered");
  // Another number is another matter.
  await enter(page, "+8613700000021");
  await textIs(page, "error", /^We sent a code only just now to this phone number\. Please try again in 27 seconds\.$/);
  answer = { status: 400, headers: { "Retry-After": "7200" }, body: limit };
  await page.keyboard.press("Enter");
  await textIs(page, "error", /^Signing in with this phone number is locked for now: .* You can try again in 2 hours, (on \w+ )?at \d\d:\d\d\./);
  answer = { status: 400, body: { error: "invalid_phone_number" } };
  await page.keyboard.press("Enter");
  await textIs(page, "error", /No message can be sent to this phone number/);
  const sent = { otp_token: "a", expires_in: 300, code_length: 6, resend_after: 30 };
  answer = { status: 200, body: { ...sent, code_expires_in: 91 } };
  await page.keyboard.press("Enter");
  await focusIs(page, "code");
  await textIs(page, "lifetime", /^The code is good for 1 minute (30|31) seconds\.$/);
  await look(page, "22-lifetime");
  await page.evaluate(() => sessionStorage.clear());
  answer = { status: 200, body: { ...sent, code_expires_in: 1, resend_after: 1 } };
  await page.goBack();
  await enter(page, "+8613700000022");
  await focusIs(page, "code");
  await textIs(page, "lifetime", /^The code is too old now\. Please ask for a new one\.$/);
  answer = { status: 200, body: sent };
  await page.waitForSelector("#resend:enabled");
  await page.click("#resend");
  await textIs(page, "lifetime", /^$/);
  answer = { status: 503, body: { error: "temporarily_unavailable" } };
  await page.goBack();
  await enter(page, "+8613700000023");
  await textIs(page, "error", /^The code could not be sent\. Please try again in a moment\.$/);
  await leave(page, true);
}

async function whenTheServerFails() {
  const page = await visit();
  await page.route("**/otp/send", (route) => route.abort());
  await enter(page, "+8613700000003");
  await textIs(page, "error", /can't be reached/);
  await page.unroute("**/otp/send");
  await page.route("**/otp/send", (route) => route.fulfill({
    status: 503, contentType: "application/json", body: JSON.stringify({ error: "temporarily_unavailable" }),
  }));
  await page.keyboard.press("Enter");
  await textIs(page, "error", /could not be sent/);
  await page.unroute("**/otp/send");
  await page.route("**/otp/send", (route) => route.fulfill({ status: 200, body: "<p>Log in to this network first" }));
  await page.keyboard.press("Enter");
  await textIs(page, "error", /makes no sense/);
  assert.equal(page.problems.splice(0).length, 1);
  await page.unroute("**/otp/send");
  await page.keyboard.press("Enter");
  await focusIs(page, "code");
  await enter(page, codeFor("+8613700000003"));
  await page.click("#create");
  await focusIs(page, "signed-in");

  // Nobody is told that they are signed out when they are not.
  await page.route("**/oauth2/revoke", (route) => route.fulfill({ status: 503, body: "" }));
  await page.click("#sign-out");
  await textIs(page, "error", /^You are still signed in\./);
  await page.unroute("**/oauth2/revoke");
  // A refresh that finds the session over ends it here, too.
  await page.route("**/oauth2/token", (route) => route.fulfill({
    status: 400, contentType: "application/json",
    body: JSON.stringify({ error: "invalid_grant", error_description: "Unknown or expired refresh_token" }),
  }));
  await page.click("#refresh");
  await textIs(page, "error", /Your session is over/);
  await focusIs(page, "phone");
  await leave(page);
}

try {
  const waiting = again();
  // Its failure is reported when it is waited for.
  waiting.catch(() => {});
  const scenarios = [
    byKeyboardAlone, unknownAddress, lockedUserInTheDark, whenTheServerFails, reloadWhileReading, backAndForth, twoTabs, digits,
    whatIsTold,
  ];
  await run(scenarios);
  await waiting;
  console.log(`${url}: signed in on the page with a keyboard, on a phone and in the dark, and out again`);
} finally {
  await browser.close();
}
