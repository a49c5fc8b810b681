// The login page as its users have it, in headless Chromium: appearance.js FOLDER HOST
//
// HOST is the folder of a host whose page has the language of the browser, both channels and new accounts. Each variant goes
// through every step with the keyboard alone, and each step is checked by axe-core and measured.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { askForCode, browser, enter, focusIs, run, site, tabTo, textIs, wrong } from "./browser.js";

const [folder, host] = process.argv.slice(2);
const { codeFor, leave, look, visit } = site(readFileSync(`${host}/url`, "utf8").trim(), `${host}/outbox`, folder);

const DESKTOP = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const ARABIC = { locale: "ar-EG" };
const DARK = { colorScheme: "dark" };

const VARIANTS = {
  "desktop": DESKTOP,
  "desktop-dark": { ...DESKTOP, ...DARK },
  "phone": PHONE,
  "phone-dark": { ...PHONE, ...DARK },
  "desktop-rtl": { ...DESKTOP, ...ARABIC },
  "desktop-rtl-dark": { ...DESKTOP, ...ARABIC, ...DARK },
  "phone-rtl": { ...PHONE, ...ARABIC },
  "phone-rtl-dark": { ...PHONE, ...ARABIC, ...DARK },
  // WCAG 1.4.4 and 1.4.10: twice the text, and a page in 320 px.
  "text-200": { ...DESKTOP, text: 32 },
  "text-200-narrow": { viewport: PHONE.viewport, text: 32 },
  "text-200-rtl": { viewport: PHONE.viewport, ...ARABIC, text: 32 },
  "zoom-400": { viewport: { width: 320, height: 256 } },
  "reduced-motion": { ...DESKTOP, reducedMotion: "reduce" },
  "forced-colors": { ...DESKTOP, forcedColors: "active" },
};

/** What a program can't find in the picture: what is cut off, moves, or is written in the wrong direction. */
async function measure(page, name) {
  const faults = await page.evaluate(() => {
    const visible = [...document.querySelectorAll("button, input, label, legend, p, h1, h2, h3, h4, dd, dt, summary")]
      .filter((element) => element.checkVisibility());
    return {
      cut: visible.filter(({ scrollWidth, clientWidth, type }) => type !== "radio" && type !== "checkbox" && scrollWidth > clientWidth + 1)
        .map(({ id, tagName, scrollWidth, clientWidth }) => `${tagName} ${id} ${scrollWidth} in ${clientWidth}`),
      untold: visible.filter((element) => element.dataset.words && !element.textContent).map((element) => element.dataset.words),
      small: visible.filter((element) => element.matches("button, summary, .field input, label:has(input)"))
        .map((element) => [element.textContent, element.getBoundingClientRect().height]).filter(([, height]) => height < 24),
      moving: document.getAnimations().length,
    };
  });
  assert.deepEqual(faults, { cut: [], untold: [], small: [], moving: 0 }, name);
}

/** The controls that Tab goes through from the top of the page, each with a ring that can be seen. */
async function tabs(page, name) {
  await page.evaluate(() => { document.activeElement.blur(); });
  // From the beginning, wherever the focus was.
  await page.locator("#title").focus();
  const found = [];
  for (let presses = 0; presses < 20; presses += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { bottom, top } = element.getBoundingClientRect();
      return {
        id: element === document.body ? null : element.id || element.value || element.textContent,
        ring: outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2,
        seen: bottom > 0 && top < innerHeight,
      };
    });
    if (focus.id === null || found.includes(focus.id)) break;
    assert.ok(focus.ring && focus.seen, `${name}: ${JSON.stringify(focus)}`);
    found.push(focus.id);
  }
  return found;
}

let visitors = 0;

async function goThrough(name, { text, ...options }) {
  visitors += 1;
  // None of the users that the host has.
  const phone = `+86137${String(300 + visitors).padStart(8, "0")}`;
  const page = await visit(options);
  if (text) await page.evaluate((size) => { document.documentElement.style.fontSize = `${size}px`; }, text);
  const at = async (step) => {
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).fontSize), `${text ?? 16}px`);
    await look(page, `${name}-${step}`);
    await measure(page, `${name} ${step}`);
  };
  const isArabic = options.locale !== undefined;
  assert.deepEqual(
    await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir, getComputedStyle(document.body).direction]),
    isArabic ? ["ar", "rtl", "rtl"] : ["en", "ltr", "ltr"],
  );
  const attributes = ["type", "inputMode", "autocomplete", "dir"];
  const inputs = await page.$$eval("#phone, #email, #code", (fields, names) => fields.map((field) => names.map((of) => field[of]).join()), attributes);
  assert.deepEqual(inputs, ["tel,tel,tel,ltr", "email,email,email,ltr", "text,numeric,one-time-code,ltr"]);

  await at("1-address");
  assert.deepEqual(await tabs(page, name), ["sms", "phone", await page.textContent("#address-step > button")]);
  await tabTo(page, "phone", "Shift+Tab");
  await enter(page, "12");
  await focusIs(page, "phone");
  await page.waitForSelector("#error:not(:empty)");
  assert.ok((await page.getAttribute("#phone", "aria-describedby")).split(" ").includes("error"));
  await at("2-malformed");
  await askForCode(page, phone);
  await at("3-code");
  const submit = await page.textContent("#code-step > button");
  assert.deepEqual(await tabs(page, name), ["code", "remember", submit, "resend", "change"]);
  // A phone number is read from left to right, also inside of a sentence that is not.
  assert.equal(await page.$eval("#sent-to", (element) => getComputedStyle(element).direction), "ltr");
  await tabTo(page, "code", "Shift+Tab");
  await enter(page, wrong(codeFor(phone)));
  await focusIs(page, "code");
  await page.waitForSelector("#attempts:not(:empty)");
  await at("4-wrong-code");
  await enter(page, codeFor(phone));
  await focusIs(page, "create");
  await at("5-new-account");
  await page.keyboard.press("Enter");
  await focusIs(page, "signed-in");
  await tabTo(page, "userinfo");
  await page.keyboard.press("Enter");
  await focusIs(page, "profile-title");
  for (const summary of await page.locator("summary").all()) await summary.press("Enter");
  await at("6-signed-in");
  await tabTo(page, "sign-out", "Shift+Tab");
  await page.keyboard.press("Enter");
  await focusIs(page, "phone");
  await page.waitForSelector("#notice:not(:empty)");
  // The arrows choose the channel, in the order in which they are seen.
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press(isArabic ? "ArrowLeft" : "ArrowRight");
  assert.ok(await page.isVisible("#email") && await page.isHidden("#phone"));
  await at("7-email");
  await leave(page);
}

/** Everything that the page can say is said in every language, and nothing in another. */
async function theLanguagesHaveTheSameWords() {
  const page = await visit(ARABIC);
  const shapes = await page.evaluate(async () => {
    const COUNTED = ["one", "two", "few", "many", "zero", "other"];
    const shape = (value) => {
      if (typeof value === "function") return `function ${value.length}`;
      if (typeof value !== "object") return typeof value;
      const members = Object.keys(value).filter((name) => !COUNTED.includes(name) || !("other" in value)).sort();
      return members.length === 0 ? "counted" : members.map((name) => [name, shape(value[name])]);
    };
    const said = (value, found = []) => {
      if (typeof value === "string") found.push(value);
      else if (typeof value === "function") found.push([value("1", "1", "1", false)].flat().join(""));
      else for (const member of Object.values(value)) said(member, found);
      return found;
    };
    const [en, ar] = await Promise.all(["en", "ar"].map(async (name) => (await import(`/page/words_${name}.js`)).default));
    const { locale: _, direction: __, ...words } = ar;
    const categories = new Intl.PluralRules(ar.locale).resolvedOptions().pluralCategories;
    return {
      en: shape(en), ar: shape(ar),
      latin: said(words).filter((text) => !/\p{Script=Arabic}/u.test(text) && /\p{L}/u.test(text)),
      incomplete: [ar.digits, ar.characters, ar.attempts, ...Object.values(ar.units)]
        .filter((forms) => !categories.every((category) => forms[category] || category === "zero")),
    };
  });
  assert.deepEqual(shapes.ar, shapes.en);
  assert.deepEqual([shapes.latin, shapes.incomplete], [[], []]);
  await textIs(page, "title", /^تسجيل الدخول$/);
  assert.equal(await page.title(), "تسجيل الدخول");
  await leave(page);
  // A browser whose first language the page does not have.
  const german = await visit({ locale: "de-DE" });
  await textIs(german, "title", /^Sign in$/);
  await leave(german);
}

try {
  const scenarios = Object.entries(VARIANTS).map(([name, options]) =>
    Object.defineProperty(() => goThrough(name, options), "name", { value: name }));
  // Two at a time. What fails is reported when both have ended.
  const lanes = [0, 1].map((lane) => scenarios.filter((_, at) => at % 2 === lane));
  const ended = await Promise.allSettled([run([theLanguagesHaveTheSameWords, ...lanes[0]]), run(lanes[1])]);
  for (const { reason } of ended) if (reason) throw reason;
  console.log(`appearance: ${scenarios.length} variants, each with the keyboard through every step, none with a violation`);
} finally {
  await browser.close();
}
