// urql's core with its usual exchanges: fetch with persisted queries, subscriptions through graphql-ws.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import * as documents from './documents.mjs';
import { events } from './events.mjs';
import { Session } from './session.mjs';
import { tells } from './story.mjs';

function open({ url, streamUrl, session, fetch: fetchFn = fetch, preferGetForPersistedQueries = false }) {
  const closes = [];
  const sockets = createClient({
    url: streamUrl.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: () => session?.authorization(),
    on: { closed: ({ code }) => closes.push(code) },
  });
  const client = new Client({
    url,
    // The headers are asked for at each request; the token is put in by `fetch`, because that may wait for a new one.
    fetch: async (target, options) =>
      fetchFn(target, { ...options, headers: { ...options.headers, ...(await session?.authorization()) } }),
    // A GET says by this header that a page of another site cannot have sent it.
    fetchOptions: { headers: { 'GraphQL-Require-Preflight': '1' } },
    preferGetMethod: false,
    requestPolicy: 'network-only',
    exchanges: [
      persistedExchange({ preferGetForPersistedQueries }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (observer) => ({ unsubscribe: sockets.subscribe(request, observer) }),
        }),
      }),
    ],
  });
  const result = ({ data, error }) => {
    if (error?.networkError) throw error.networkError;
    const errors = error?.graphQLErrors.map(({ message, extensions }) => ({ message, code: extensions.code }));
    return { data, errors };
  };
  return {
    client,
    closes,
    async run(name, variables) {
      const act = documents[name].startsWith('mutation') ? 'mutation' : 'query';
      return result(await client[act](documents[name], variables).toPromise());
    },
    async *watch(variables) {
      const source = client.subscription(documents.MessageStream, variables);
      for await (const { data, error } of untilEnd(source)) {
        if (error) throw error;
        yield data.messageStream;
      }
    },
    close: () => sockets.dispose(),
  };
}

// A source of urql never completes by itself at `subscribe`; the last event does say that it is the last.
async function* untilEnd(source) {
  const results = events((observer) => {
    const { unsubscribe } = source.subscribe((result) => {
      observer.next(result);
      if (result.error || isLast(result.data.messageStream)) observer.complete();
    });
    return unsubscribe;
  });
  yield* results;
}

const isLast = ({ __typename }) => __typename === 'MessageFinished' || __typename === 'MessageFailed';

tells({ name: 'urql', lives: { expiry: true }, open });

for (const preferGetForPersistedQueries of [false, true]) {
  const method = preferGetForPersistedQueries ? 'GET' : 'POST';
  test(`urql: a persisted query is sent once, and afterwards by its hash with ${method}`, async () => {
    const url = `${process.env.SERVER}/graphql`;
    const sent = [];
    const fetchFn = async (target, options) => {
      const response = await fetch(target, options);
      const hasDocument = /"query":/.test(options.body ?? '') || new URL(target).searchParams.has('query');
      sent.push(`${options.method} ${hasDocument ? 'document' : 'hash'} ${response.status}`);
      return response;
    };
    const session = await Session.signUp(url);
    const { client, close } = open({ url, streamUrl: url, session, fetch: fetchFn, preferGetForPersistedQueries });
    const query = `query ViewerBy${method}${process.pid} { viewer { user { id email } } }`;
    for (let n = 0; n < 3; n++) {
      const { data, error } = await client.query(query, {}).toPromise();
      assert.equal(error, undefined);
      assert.equal(data.viewer.user.email, session.email);
    }
    await close();
    console.log(`urql persisted: ${sent.join(', ')}`);
    assert.equal(sent.length, 4);
    assert.match(sent[0], new RegExp(`^${method} hash`));
    assert.match(sent[1], /document 200$/);
    assert.deepEqual(sent.slice(2), [`${method} hash 200`, `${method} hash 200`]);
  });
}
