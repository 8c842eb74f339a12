// Apollo Client 4 as its manual sets it up: HTTP with automatic persisted queries, a token from a context link, and
// subscriptions over graphql-ws.
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import * as documents from './documents.mjs';
import { events } from './events.mjs';
import { plain } from './results.mjs';
import { persists } from './persisted.mjs';
import { tells } from './story.mjs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const parsed = Object.fromEntries(Object.entries(documents).map(([name, text]) => [name, gql(text)]));

function open({ url, streamUrl, session, fetch: fetchFn = fetch, useGETForHashedQueries = false }) {
  const closes = [];
  const sockets = createClient({
    url: streamUrl.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: () => session?.authorization(),
    on: { closed: ({ code }) => closes.push(code) },
  });
  const authorization = new SetContextLink(async ({ headers }) => ({
    headers: { ...headers, ...(await session?.authorization()) },
  }));
  const http = ApolloLink.from([
    authorization,
    new PersistedQueryLink({ sha256, useGETForHashedQueries }),
    // It names the type of the body with a GET too, which a page of another site cannot do unasked.
    new HttpLink({ uri: url, fetch: fetchFn }),
  ]);
  const client = new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(sockets),
      http,
    ),
    cache: new InMemoryCache(),
    defaultOptions: { query: { fetchPolicy: 'network-only' } },
  });
  return {
    client,
    closes,
    async run(name, variables) {
      const kind = parsed[name].definitions[0].operation;
      try {
        if (kind === 'query') return plain(await client.query({ query: parsed[name], variables }));
        return plain(await client.mutate({ mutation: parsed[name], variables }));
      } catch (error) {
        if (CombinedGraphQLErrors.is(error)) return plain(error);
        throw error;
      }
    },
    async *watch(variables) {
      const observable = client.subscribe({ query: parsed.MessageStream, variables });
      const results = events((observer) => {
        const subscription = observable.subscribe(observer);
        return () => subscription.unsubscribe();
      });
      for await (const { data, error } of results) {
        if (error) throw error;
        yield data.messageStream;
      }
    },
    async close() {
      client.stop();
      await sockets.dispose();
    },
  };
}

tells({ name: 'apollo', lives: { expiry: true }, open });

persists({
  name: 'apollo',
  openBy: (method, options) => open({ ...options, useGETForHashedQueries: method === 'GET' }),
  ask: async (client, text) => (await client.query({ query: gql(text) })).data,
});
