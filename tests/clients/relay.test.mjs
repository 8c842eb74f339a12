// Relay: what its own compiler makes of the documents, its network layer, and its store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-ws';
import relay from 'relay-runtime';
import WebSocket from 'ws';
import { events } from './events.mjs';
import { compile, storyName } from './relay-artifacts.mjs';
import { plain } from './results.mjs';
import { Session } from './session.mjs';
import { tells } from './story.mjs';

const { artifact, output } = compile('../../schema.graphql');
console.log(`relay compiler: ${/compiled documents: .*/.exec(output)[0]}`);

function open({ url, streamUrl, session }) {
  const closes = [];
  const asked = [];
  const sockets = createClient({
    url: streamUrl.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: () => session?.authorization(),
    on: { closed: ({ code }) => closes.push(code) },
  });
  async function ask({ name, text }, variables) {
    asked.push(name);
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json;q=0.9',
        ...(await session?.authorization()),
      },
      body: JSON.stringify({ query: text, variables }),
    });
    return response.json();
  }
  const subscribe = ({ name, text }, variables) =>
    relay.Observable.create((sink) => sockets.subscribe({ operationName: name, query: text, variables }, sink));
  const environment = new relay.Environment({
    network: relay.Network.create(ask, subscribe),
    store: new relay.Store(new relay.RecordSource()),
  });
  return {
    environment,
    asked,
    closes,
    async run(name, variables) {
      const operation = artifact(storyName(name));
      // Relay gives what came, or throws with the errors as `source`, when the server sent no data.
      try {
        if (operation.params.operationKind === 'mutation') return await mutate(environment, operation, variables);
        const data = await relay.fetchQuery(environment, operation, variables).toPromise();
        return { data };
      } catch (error) {
        if (!error.source) throw error;
        return plain(error.source);
      }
    },
    async *watch(variables) {
      const subscription = artifact(storyName('MessageStream'));
      const answers = events(({ next, error, complete }) => {
        const { dispose } = relay.requestSubscription(environment, {
          subscription,
          variables,
          onNext: next,
          onError: error,
          onCompleted: complete,
        });
        return dispose;
      });
      for await (const { messageStream } of answers) yield messageStream;
    },
    close: () => sockets.dispose(),
  };
}

const mutate = (environment, mutation, variables) =>
  new Promise((resolve, reject) => {
    relay.commitMutation(environment, {
      mutation,
      variables,
      onCompleted: (data, errors) => resolve(plain({ data, errors: errors ?? undefined })),
      onError: reject,
    });
  });

tells({ name: 'relay', lives: { expiry: true }, open });

const url = `${process.env.SERVER}/graphql`;
let person;
const enter = async () => {
  person ??= await Session.signUp(url);
  return open({ url, streamUrl: url, session: person });
};

// Reads what a component would get, from the store alone.
function read(environment, operation, fragment) {
  const { data } = environment.lookup(operation.fragment);
  const owner = data.viewer?.account ?? data.node;
  return environment.lookup(relay.getSingularSelector(fragment, owner)).data;
}

test('relay: a connection grows page by page in the store, through the id of its owner', async () => {
  const { environment, asked, run, close } = await enter();
  const titles = [];
  for (let n = 1; n <= 7; n++) {
    titles.unshift(`Number ${n}`);
    const input = { title: titles[0], idempotencyKey: crypto.randomUUID() };
    await run('CreateConversation', { input });
  }
  const start = relay.createOperationDescriptor(relay.getRequest(artifact('listStartQuery')), {});
  const kept = environment.retain(start);
  await relay.fetchQuery(environment, artifact('listStartQuery'), {}).toPromise();
  const fragment = relay.getFragment(artifact('list_account'));
  const { connectionPathInFragmentData, paginationRequest, paginationMetadata } = relay.getPaginationMetadata(fragment, 'list');
  const sizes = [];
  for (;;) {
    const { conversations } = read(environment, start, fragment);
    sizes.push(conversations.edges.length);
    assert.deepEqual(connectionPathInFragmentData, ['conversations']);
    if (!conversations.pageInfo.hasNextPage) break;
    const { id } = environment.lookup(start.fragment).data.viewer.account;
    const next = relay.getPaginationVariables('forward', 3, conversations.pageInfo.endCursor, { id }, {}, paginationMetadata);
    await relay.fetchQuery(environment, paginationRequest, next).toPromise();
  }
  const { conversations } = read(environment, start, fragment);
  assert.deepEqual(conversations.edges.map(({ node }) => node.title), titles);
  assert.deepEqual(sizes, [3, 6, 7]);
  assert.equal(asked.filter((name) => name === 'listPageQuery').length, 2);
  kept.dispose();
  await close();
  console.log(`relay connection pages=${sizes.length} items=${titles.length}`);
});

test('relay: a node is refetched by its id, and the store has the newer state', async () => {
  const { environment, run, watch, close } = await enter();
  const input = {
    parts: [{ text: '/words 5 /pace 1ms' }],
    model: 'echo',
    options: { maxOutputTokens: 100 },
    idempotencyKey: crypto.randomUUID(),
  };
  const { data } = await run('SendMessage', { input });
  const { id } = data.sendMessage.assistantMessage;
  for await (const _ of watch({ messageId: id }));
  const refetch = artifact('listMessageRefetchQuery');
  const operation = relay.createOperationDescriptor(relay.getRequest(refetch), { id });
  const kept = environment.retain(operation);
  await relay.fetchQuery(environment, refetch, { id }).toPromise();
  const message = read(environment, operation, relay.getFragment(artifact('list_message')));
  assert.equal(message.id, id);
  assert.equal(message.status, 'SUCCEEDED');
  assert.equal(message.text.split(' ').length, 5);
  kept.dispose();
  await close();
});
