// A persisted query, asked for three times: by a hash that nobody knows, then with its document, afterwards by its hash
// alone. The same for every client that can.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Session } from './session.mjs';

/** `openBy(method, options)` makes a client that sends hashes so; `ask(client, text)` gives the data of a query. */
export function persists({ name, openBy, ask }) {
  for (const method of ['POST', 'GET']) {
    test(`${name}: a persisted query is sent once, and afterwards by its hash with ${method}`, async () => {
      const url = `${process.env.SERVER}/graphql`;
      const sent = [];
      const fetchFn = async (target, options) => {
        const response = await fetch(target, options);
        const hasDocument = /"query":/.test(options.body ?? '') || new URL(target).searchParams.has('query');
        sent.push(`${options.method} ${hasDocument ? 'document' : 'hash'} ${response.status}`);
        return response;
      };
      const session = await Session.signUp(url);
      const { client, close } = openBy(method, { url, streamUrl: url, session, fetch: fetchFn });
      // A name of its own, so that no other test has sent it before.
      const query = `query ViewerBy${method}${process.pid} { viewer { user { id email } } }`;
      for (let n = 0; n < 3; n++) {
        const data = await ask(client, query);
        assert.equal(data.viewer.user.email, session.email);
      }
      await close();
      console.log(`${name} persisted: ${sent.join(', ')}`);
      assert.equal(sent.length, 4);
      assert.match(sent[0], new RegExp(`^${method} hash`));
      assert.match(sent[1], /document 200$/);
      assert.deepEqual(sent.slice(2), [`${method} hash 200`, `${method} hash 200`]);
    });
  }
}
