// What pages of other origins may do with a `loquent serve --dev`: those of this machine, such as a frontend that is being
// written on another port, may ask and watch; those of anybody else may do neither.
//
//   node origins.mjs http://127.0.0.1:3000
//
// Prints `browser origins n=<checks> ok`. Without a Chromium it prints `SKIPPED: no chromium` and succeeds.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { FOREIGN_HOST, launch } from './browser.mjs';

const [base] = process.argv.slice(2);
if (!base) {
  console.error('usage: node origins.mjs <base URL>');
  process.exit(2);
}
const api = `${new URL(base).origin}/graphql`;

// An empty page, whoever it is taken for.
const pages = createServer((_, response) => {
  response.setHeader('content-type', 'text/html');
  response.end('<!doctype html><title>a page</title>');
});
pages.listen(0, '127.0.0.1');
await once(pages, 'listening');
const { port } = pages.address();

const browser = await launch();
let checks = 0;
try {
  const neighbour = await at(`http://127.0.0.1:${port}/`);
  check(await neighbour.evaluate(ask, api), { status: 200, typename: 'Query', hasRequestId: true });
  check(await neighbour.evaluate(askWrongly, api), { status: 400, code: 'GRAPHQL_VALIDATION_FAILED' });
  check(await neighbour.evaluate(openSocket, api), 'connection_ack');

  const foreign = await at(`http://${FOREIGN_HOST}:${port}/`);
  check(await foreign.evaluate(ask, api), 'TypeError');
  check(await foreign.evaluate(openSocket, api), 'closed');
  console.log(`browser origins n=${checks} ok`);
} finally {
  await browser.close();
  pages.close();
}

function check(actual, expected) {
  assert.deepEqual(actual, expected);
  checks += 1;
}

async function at(url) {
  const page = await browser.newPage();
  await page.goto(url);
  return page;
}

// The functions below run in a page.

// As every client asks: the headers make the browser send a preflight first.
async function ask(api) {
  try {
    const response = await fetch(api, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'asked-by-a-page' },
      body: JSON.stringify({ query: '{ __typename }' }),
    });
    const { data } = await response.json();
    return { status: response.status, typename: data.__typename, hasRequestId: response.headers.has('x-request-id') };
  } catch (error) {
    return error.name;
  }
}

// An error must be as readable as an answer.
async function askWrongly(api) {
  const response = await fetch(api, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: '{ nothing }' }),
  });
  const { errors } = await response.json();
  return { status: response.status, code: errors[0].extensions.code };
}

// The type of the first message, or `closed`.
function openSocket(api) {
  return new Promise((resolve) => {
    const socket = new WebSocket(api.replace('http', 'ws'), 'graphql-transport-ws');
    socket.onopen = () => socket.send('{"type":"connection_init"}');
    socket.onmessage = ({ data }) => {
      resolve(JSON.parse(data).type);
      socket.close();
    };
    socket.onclose = () => resolve('closed');
  });
}
