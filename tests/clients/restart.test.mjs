// A deployment: the server is stopped by SIGTERM and started again on the same port and data, and a client that was
// watching comes back by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { Answer, words } from './answer.mjs';
import * as documents from './documents.mjs';
import { house, start } from './server.mjs';
import { Session } from './session.mjs';

const WORDS = 150;

test('graphql-ws comes back after a restart of the server and goes on', async () => {
  const { home, remove } = house();
  let server = await start(home);
  let restart = null;
  const closes = [];
  const session = await Session.signUp(server.url);
  const client = createClient({
    url: server.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: () => session.authorization(),
    // On its own the library gives up when a port is closed, as it is while the only server there is starts again.
    shouldRetry: () => true,
    retryAttempts: 240,
    retryWait: () => sleep(250),
    on: { closed: ({ code }) => closes.push(code) },
  });
  try {
    const id = await send(client);
    const answer = new Answer();
    for await (const event of watch(client, id)) {
      answer.take(event);
      if (!restart && answer.sequence >= 10) {
        const { port } = server;
        restart = server.stop().then(async () => (server = await start(home, port)));
      }
    }
    await restart;
    assert.ok(closes.includes(1012), `closed with ${closes}`);
    assert.equal(answer.end.__typename, 'MessageFinished');
    assert.equal(words(answer.text), WORDS);
    assert.equal(answer.text, answer.end.message.text);
    console.log(`restart closes=${[...new Set(closes)]} events=${answer.sequences.length} words=${WORDS}`);
  } finally {
    await client.dispose();
    await restart;
    await server.stop();
    remove();
  }
});

async function* watch(client, messageId) {
  for await (const { data, errors } of client.iterate({ query: documents.MessageStream, variables: { messageId } })) {
    assert.equal(errors, undefined);
    yield data.messageStream;
  }
}

async function send(client) {
  const input = {
    parts: [{ text: `/words ${WORDS} /pace 20ms` }],
    model: 'echo',
    options: { maxOutputTokens: 1000 },
    idempotencyKey: crypto.randomUUID(),
  };
  for await (const { data, errors } of client.iterate({ query: documents.SendMessage, variables: { input } })) {
    assert.equal(errors, undefined);
    return data.sendMessage.assistantMessage.id;
  }
}
