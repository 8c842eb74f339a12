// A signed-in person as a client keeps one: the tokens, and the renewal of them shortly before they end.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as documents from './documents.mjs';

// Renewed this much before the end, so that no request starts with a token that ends on the way.
const MARGIN_MS = 3_000;
const PASSWORD = 'violet-tractor-lantern';
let people = 0;

export class Session {
  #url;
  #tokens;
  #renewal = null;
  renewals = 0;

  // `url` is that of the endpoint.
  static async signUp(url) {
    const email = `${process.pid}-${++people}@example.com`;
    const { signUp } = await post(url, documents.SignUp, { input: { email, password: PASSWORD } });
    assert.deepEqual(signUp.userErrors, []);
    return new Session(url, email, signUp.tokens);
  }

  constructor(url, email, tokens) {
    Object.assign(this, { email, password: PASSWORD });
    this.#url = url;
    this.#tokens = tokens;
  }

  get expiresAt() {
    return Date.parse(this.#tokens.accessTokenExpiresAt);
  }

  // A token that is good for the next moments. Whoever asks while it is renewed waits for the same renewal.
  async accessToken() {
    if (this.expiresAt - Date.now() > MARGIN_MS) return this.#tokens.accessToken;
    this.#renewal ??= this.#renew().finally(() => (this.#renewal = null));
    await this.#renewal;
    return this.#tokens.accessToken;
  }

  async authorization() {
    return { authorization: `Bearer ${await this.accessToken()}` };
  }

  async #renew() {
    const input = { refreshToken: this.#tokens.refreshToken };
    const { tokens, userErrors } = (await post(this.#url, documents.RefreshSession, { input })).refreshSession;
    assert.deepEqual(userErrors, []);
    this.#tokens = tokens;
    this.renewals += 1;
  }
}

// A server that hashes as many passwords as it can says that it is busy; one tries again then.
async function post(url, query, variables, attempts = 20) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors?.[0].extensions.code === 'SERVICE_UNAVAILABLE' && attempts > 1) {
    await sleep(500);
    return post(url, query, variables, attempts - 1);
  }
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}
