// urql's core with its usual exchanges: fetch with persisted queries, subscriptions through graphql-ws.
import assert from 'node:assert/strict';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import * as documents from './documents.mjs';
import { events } from './events.mjs';
import { persists } from './persisted.mjs';
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

persists({
  name: 'urql',
  openBy: (method, options) => open({ ...options, preferGetForPersistedQueries: method === 'GET' }),
  ask: async (client, text) => {
    const { data, error } = await client.query(text, {}).toPromise();
    assert.equal(error, undefined);
    return data;
  },
});
