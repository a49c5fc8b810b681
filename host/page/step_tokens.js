// The third step: tokens.

import { forget } from "./challenge.js";
import { after, secondsUntil } from "./clock.js";
import { forgetDevice } from "./devices.js";
import { askUserinfo, discardKey, postForm, settings } from "./server.js";
import { showAddress } from "./step_address.js";
import { fill, opaqueCard, tokenCard } from "./tokens.js";
import { $, complain, say, show } from "./view.js";
import { duration, explain, words } from "./words.js";

/** The last answer of the token endpoint. */
export let tokens = null;
/** The address that this device is remembered for, once somebody has signed in with it. */
let remembered = null;

/** Shows the tokens of a login. `address` is the address that this device is remembered for, if it is. */
export function showTokens(answer, address) {
  keep(answer);
  remembered = address;
  $("forget-device").hidden = !remembered;
  show("signed-in-step");
  $("profile").hidden = true;
  $("signed-in").focus();
}

function keep(answer) {
  tokens = { ...answer, endsAt: after(answer.expires_in) };
  const isBound = tokens.token_type === "DPoP";
  const shown = isBound ? words.boundAccessTokenIs : words.accessTokenIs;
  const cards = [[words.idToken, words.idTokenIs, tokens.id_token],
    [words.accessToken, shown, tokens.access_token]]
    .filter(([, , token]) => token)
    .map(([name, purpose, token]) => tokenCard(name, purpose, token));
  if (tokens.refresh_token) cards.push(opaqueCard(words.refreshToken, tokens.refresh_token));
  $("tokens").replaceChildren(...cards);
  $("bound").hidden = !isBound;
  tickTokens();
}

export async function refresh() {
  const form = { grant_type: "refresh_token", client_id: settings.client, refresh_token: tokens.refresh_token };
  const answer = await postForm("token", form);
  if (answer.ok) {
    keep(answer.body);
    say(words.fresh);
  } else if (answer.error === "invalid_grant") {
    await leave();
    complain(explain(answer));
  } else {
    complain(explain(answer));
  }
}

export async function userinfo() {
  const answer = await askUserinfo(tokens);
  if (!answer.ok) {
    complain(explain(answer));
    return;
  }
  fill($("profile-claims"), answer.body);
  $("profile").hidden = false;
  $("profile-title").focus();
}

export async function signOut() {
  const token = tokens.refresh_token ?? tokens.access_token;
  const answer = await postForm("revoke", { client_id: settings.client, token });
  // Whoever is told that they are signed out has to be: after an error they still are not.
  if (!answer.ok) {
    complain(words.stillSignedIn(explain(answer)));
    return;
  }
  await leave();
  say(words.signedOut);
}

/** The tokens stay: this is about the next time. */
export async function forgetThisDevice() {
  await forgetDevice(remembered);
  $("forget-device").hidden = true;
  $("signed-in").focus();
  say(words.forgotten);
}

async function leave() {
  tokens = null;
  forget();
  clearFields();
  await discardKey();
  $("tokens").replaceChildren();
  $("profile-claims").replaceChildren();
  showAddress();
}

/** Leaves no trace of an address to the next user of this tab. */
export function clearFields() {
  for (const id of ["phone", "email", "code"]) $(id).value = "";
  for (const id of ["sent-to", "attempts"]) $(id).textContent = "";
}

/** Shows how long the access token is good. */
export function tickTokens() {
  if (!tokens) return;
  const left = secondsUntil(tokens.endsAt);
  $("remaining").textContent = left > 0 ? words.accessGoodFor(duration(left)) : words.accessExpired;
}
