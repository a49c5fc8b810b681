// A server whose codes arrive in a list, and what a client asks of it.

import { MemoryDirectory, MemoryStore, Server, TestClock } from 'otp-grant';

export const ISSUER = 'https://login.example.com';
export const SMS = 'http://tencentciam.com/oauth2/grant-type/otp/sms';
export const PHONE = '+8613612345678';
export const CLIENT = { client_id: 'web', client_secret: 'a long random value' };

export function directory() {
  return new MemoryDirectory()
    .addAuthSource({ id: 'sms', channel: 'sms' })
    .addClient({ id: 'web', secret: CLIENT.client_secret, authSources: ['sms'], scopes: 'openid profile email' })
    .addUser({ subject: 'user-4711' }, [{ channel: 'sms', address: PHONE }], { name: 'Ada', tenant: 'acme' });
}

export class Host {
  constructor(options = {}) {
    this.outbox = [];
    this.events = [];
    this.portErrors = [];
    this.clock = new TestClock();
    this.store = options.store ?? new MemoryStore(this.clock);
    this.directory = options.directory ?? directory();
    this.server = new Server({
      issuer: ISSUER,
      keys: { generate: true },
      signing: { active: { generate: 'ES256' } },
      deliver: (delivery) => {
        this.outbox.push(delivery);
      },
      onEvent: (event) => this.events.push(event),
      onPortError: (error, question) => this.portErrors.push({ error, question }),
      ...options,
      clock: this.clock,
      store: this.store,
      directory: this.directory,
    });
  }

  post(path, body, options) {
    return this.#post(path, 'application/json', JSON.stringify(body), options);
  }

  postForm(path, form, options) {
    return this.#post(path, 'application/x-www-form-urlencoded', new URLSearchParams(form).toString(), options);
  }

  async #post(path, type, body, options) {
    const headers = { 'Content-Type': type };
    const reply = await this.server.handle({ method: 'POST', path, headers, body }, options);
    const text = reply.body.toString();
    return { status: reply.status, json: text === '' ? undefined : JSON.parse(text), reply };
  }

  send(phone = PHONE, options) {
    return this.post('/otp/send', { ...CLIENT, auth_source_id: 'sms', phone_number: phone }, options);
  }

  redeem(otp_token, otp, { phone = PHONE, ...more } = {}, options) {
    const about = { grant_type: SMS, ...CLIENT, auth_source_id: 'sms', phone_number: phone, otp_token, otp };
    return this.post('/oauth2/token', { ...about, ...more }, options);
  }

  refresh(refresh_token, options) {
    return this.post('/oauth2/token', { grant_type: 'refresh_token', ...CLIENT, refresh_token }, options);
  }

  revoke(token, options) {
    return this.postForm('/oauth2/revoke', { ...CLIENT, token }, options);
  }

  codeFor(phone = PHONE) {
    return this.outbox.findLast(({ address }) => address === phone).code;
  }

  async logIn(phone = PHONE, more = {}) {
    const sent = await this.send(phone);
    const { status, json } = await this.redeem(sent.json.otp_token, this.codeFor(phone), { phone, ...more });
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(json)}`);
    return json;
  }
}

/** Another code of the same length. */
export function wrong(code) {
  return code.slice(0, -1) + (code.endsWith('0') ? '1' : '0');
}
