/** The page of `npx otp-grant`: sends a code, redeems it, and shows the answers. */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>otp-grant</title>
<style>
  body { font: 16px/1.5 system-ui; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }
  input, button { font: inherit; padding: .3rem .6rem } pre { white-space: pre-wrap; word-break: break-all }
</style>
<h1>A login with a code</h1>
<form id="send">
  <label>E-mail address or phone number <input id="address" required value="ada@example.com"></label>
  <button>Send a code</button>
</form>
<form id="redeem" hidden>
  <label>The code, from the terminal <input id="code" required autocomplete="one-time-code" inputmode="numeric"></label>
  <button>Log in</button>
</form>
<pre id="shown" role="status"></pre>
<script>
  const element = (id) => document.getElementById(id);
  let sent;
  async function post(path, body) {
    const reply = await fetch(path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    const answer = await reply.json();
    element('shown').textContent = JSON.stringify(answer, null, 2);
    return reply.ok ? answer : undefined;
  }
  element('send').addEventListener('submit', async (event) => {
    event.preventDefault();
    const address = element('address').value;
    const kind = address.includes('@') ? 'email' : 'sms';
    const about = { client_id: 'demo', auth_source_id: kind, [kind === 'email' ? 'email' : 'phone_number']: address };
    const answer = await post('/otp/send', about);
    sent = answer && { ...about, kind, otp_token: answer.otp_token };
    element('redeem').hidden = !sent;
  });
  element('redeem').addEventListener('submit', async (event) => {
    event.preventDefault();
    const { kind, ...about } = sent;
    const grant_type = 'http://tencentciam.com/oauth2/grant-type/otp/' + kind;
    await post('/oauth2/token', { ...about, grant_type, auto_signup: true, otp: element('code').value.trim() });
  });
</script>
</html>
`;
