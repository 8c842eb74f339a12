// The audits of GraphQL over HTTP that the package graphql-http ships: all of them, MUST, SHOULD and MAY.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';

// The audits ask with plain GETs too. Here a GET must show by a header that no page of another site sent it; browsers
// do not let such a page add one unasked.
const fetchFn = (url, options = {}) => {
  const headers = { ...options.headers, 'GraphQL-Require-Preflight': '1' };
  return fetch(url, { ...options, headers });
};

test('every audit of graphql-http passes', async () => {
  const audits = serverAudits({ url: `${process.env.SERVER}/graphql`, fetchFn });
  assert.ok(audits.length >= 60, `only ${audits.length} audits are listed`);
  const results = [];
  for (const audit of audits) results.push(await audit.fn());
  // Whatever is not `ok` counts, be it an `error` (MUST), a `warn` (SHOULD) or a `notice` (MAY).
  const failed = results.filter(({ status }) => status !== 'ok');
  for (const { id, name, status, reason, response } of failed) {
    console.log(`${status} ${id} ${name}: ${reason} (HTTP ${response?.status})`);
  }
  console.log(`graphql-http audits n=${results.length} failed=${failed.length}`);
  assert.equal(failed.length, 0);
});
