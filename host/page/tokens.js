// How tokens and claims are shown.

import { claimMeaning, claimText, words } from "./words.js";

/** A JWT, decoded. */
export function tokenCard(name, purpose, token) {
  const [header, claims] = token.split(".").slice(0, 2).map(decoded);
  const card = element("div", { className: "token" });
  card.append(element("h3", {}, name), element("p", { className: "help" }, purpose));
  card.append(element("h4", {}, words.header), list(header), element("h4", {}, words.claimsOf), list(claims));
  const raw = element("details");
  raw.append(element("summary", {}, words.itself), element("code", { className: "raw", dir: "ltr" }, token));
  card.append(raw);
  return card;
}

/** A token that is not to be read: how long it is. */
export function opaqueCard(name, token) {
  const card = element("div", { className: "token" });
  card.append(element("h3", {}, name), element("p", { className: "help" }, words.refreshTokenIs(token.length)));
  return card;
}

function list(members) {
  const terms = element("dl");
  fill(terms, members);
  return terms;
}

/** Lists members with what they mean. */
export function fill(terms, members) {
  const rows = Object.entries(members).map(([name, value]) => {
    const term = element("dt");
    term.append(element("code", { dir: "ltr" }, name));
    const meaning = claimMeaning(name);
    if (meaning && meaning !== name) term.append(element("span", {}, meaning));
    const row = element("div");
    row.append(term, element("dd", { dir: "auto" }, claimText(name, value, members.iat)));
    return row;
  });
  terms.replaceChildren(...rows);
}

function element(name, properties = {}, text = undefined) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Reads a part of a JWT. It is shown, not verified: the page has it from the server itself. */
function decoded(part) {
  const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (character) => character.charCodeAt(0))));
}
