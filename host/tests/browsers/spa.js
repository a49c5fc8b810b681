// A single-page application whose authorization server is on another origin: ?issuer=URL&client=ID&bound=true
//
// It finds the endpoints in the metadata, logs a user in with a code, refreshes, asks who the user is, and signs out.
// With `bound`, its tokens are bound to a key of this browser (DPoP). Tokens are in the memory of this tab alone.

import { askWithProof, openKey } from "./proof.js";

const parameters = new URLSearchParams(location.search);
const [issuer, client] = ["issuer", "client"].map((name) => parameters.get(name));
const key = parameters.get("bound") ? await openKey(`spa ${client}`) : null;
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();

let sent = null;
let tokens = null;

/** Sends a request, and shows what the page can read of the answer. */
async function ask(url, { method = "POST", type, body, accessToken } = {}) {
  const send = (headers) => fetch(url, {
    method, body, credentials: "omit", cache: "no-store", headers: { ...(type ? { "Content-Type": type } : {}), ...headers },
  });
  const result = { client };
  try {
    const reply = key
      ? await askWithProof(key, { method, url, accessToken }, send)
      : await send(accessToken ? { Authorization: `Bearer ${accessToken}` } : {});
    result.status = reply.status;
    result.headers = Object.fromEntries(reply.headers);
    const text = await reply.text();
    result.body = text ? JSON.parse(text) : null;
  } catch (error) {
    // A refusal of the browser: it does not tell the page why.
    result.error = String(error);
  }
  document.getElementById("result").textContent = JSON.stringify(result, null, 2);
  return result;
}

const json = (url, members) => ask(url, { type: "application/json", body: JSON.stringify({ client_id: client, ...members }) });
const form = (url, members) =>
  ask(url, { type: "application/x-www-form-urlencoded", body: new URLSearchParams({ client_id: client, ...members }).toString() });

async function send(phone) {
  const { body } = await json(metadata.otp_send_endpoint, { auth_source_id: "sms", phone_number: phone });
  if (body?.otp_token) sent = { phone_number: phone, otp_token: body.otp_token };
}

async function redeem(otp) {
  const grant_type = "http://tencentciam.com/oauth2/grant-type/otp/sms";
  keep(await json(metadata.token_endpoint, { grant_type, auth_source_id: "sms", ...sent, otp }));
}

async function refresh() {
  keep(await form(metadata.token_endpoint, { grant_type: "refresh_token", refresh_token: tokens.refresh_token }));
}

function keep({ status, body }) {
  if (status === 200) tokens = body;
}

const userinfo = () => ask(metadata.userinfo_endpoint, { method: "GET", accessToken: tokens?.access_token ?? "none" });
const revoke = () => form(metadata.revocation_endpoint, { token: tokens.refresh_token });

for (const [id, work] of Object.entries({ send, redeem })) {
  document.getElementById(id).addEventListener("submit", (event) => {
    event.preventDefault();
    work(event.target.querySelector("input").value);
  });
}
for (const [id, work] of Object.entries({ refresh, userinfo, revoke })) {
  document.getElementById(id).addEventListener("click", work);
}
document.body.dataset.ready = "";
