// The audits of GraphQL over HTTP that the package graphql-http ships: all of them, MUST, SHOULD and MAY.
//
// Two of them keep a rule that the specification gave an end: before 2025, whoever named no media type got
// application/json, and since then application/graphql-response+json. These two must differ in that, and in nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';

// The audits ask with plain GETs too. Here a GET must show by a header that no page of another site sent it; browsers
// do not let such a page add one unasked.
const fetchFn = (url, options = {}) => {
  const headers = { ...options.headers, 'GraphQL-Require-Preflight': '1' };
  return fetch(url, { ...options, headers });
};

const SUPERSEDED = {
  '47DE': 'SHOULD accept */* and use application/json for the content-type',
  '80D8': 'SHOULD assume application/json content-type when accept is missing',
};

test('every audit of graphql-http passes', async () => {
  const audits = serverAudits({ url: `${process.env.SERVER}/graphql`, fetchFn });
  assert.ok(audits.length >= 60, `only ${audits.length} audits are listed`);
  const results = [];
  for (const audit of audits) results.push(await audit.fn());
  // Whatever is not `ok` counts, be it an `error` (MUST), a `warn` (SHOULD) or a `notice` (MAY).
  const others = results.filter(({ status }) => status !== 'ok');
  for (const { id, name, status, reason, response } of others) {
    console.log(`${status} ${id} ${name}: ${reason} (HTTP ${response?.status})`);
  }
  const superseded = others.filter(isSuperseded);
  const failed = others.length - superseded.length;
  console.log(`graphql-http audits n=${results.length} superseded=${superseded.length} failed=${failed}`);
  assert.equal(failed, 0);
  assert.equal(superseded.length, Object.keys(SUPERSEDED).length, 'a superseded audit passes again: take it off the list');
});

function isSuperseded({ id, name, response }) {
  const type = response?.headers.get('content-type') ?? '';
  return SUPERSEDED[id] === name && response.status === 200 && type.startsWith('application/graphql-response+json');
}
