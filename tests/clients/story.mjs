// What a product does with the API all day, told once and lived through by every client. A client is
//
//   name, open({ url, streamUrl, session }) -> {
//     run(name, variables)            { data, errors }; errors in the form { message, code }
//     watch(variables)                an async iterable of stream events that survives a lost connection by itself
//     close()
//   }
//
// `session` is null for a stranger. `closes` of an opened client, where there is one, lists the close codes of sockets.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Answer, words } from './answer.mjs';
import { openLine } from './line.mjs';
import { Session } from './session.mjs';

const URL_OF_ALL = `${process.env.SERVER}/graphql`;
const PAGE = 3;
const CONVERSATIONS = 8;

export function tells({ name, open, lives = {} }) {
  describe(name, { concurrency: true }, () => {
    const opened = [];
    const counts = { cases: 0, events: 0, drops: 0, renewals: 0 };

    // Signing up is dear on purpose, so the cases share a person, except where it is counted what that person has.
    let person;
    const shared = () => (person ??= Session.signUp(URL_OF_ALL));

    // A client with a line of its own.
    async function enter(session) {
      session = await (session ?? shared());
      const line = await openLine(process.env.SERVER);
      const client = await open({ url: URL_OF_ALL, streamUrl: line.url, session });
      opened.push({ client, line });
      return { client, line, session };
    }

    async function stranger() {
      const client = await open({ url: URL_OF_ALL, streamUrl: URL_OF_ALL, session: null });
      opened.push({ client });
      return client;
    }

    const story = (sentence, live) =>
      test(sentence, async () => {
        await live();
        counts.cases += 1;
      });

    after(async () => {
      for (const { client, line } of opened) {
        await client.close();
        line?.close();
      }
      console.log(`${name} ${Object.entries(counts).map(([what, n]) => `${what}=${n}`).join(' ')}`);
    });

    story('signs in, and a wrong password is a user error', async () => {
      const { email, password } = await shared();
      const client = await stranger();
      const { signIn } = data(await client.run('SignIn', { input: { email, password } }));
      assert.equal(signIn.viewer.user.email, email);
      assert.ok(signIn.tokens.accessToken);
      assert.deepEqual(signIn.userErrors, []);
      const refused = data(await client.run('SignIn', { input: { email, password: 'not-this-one' } })).signIn;
      assert.equal(refused.tokens, null);
      assert.deepEqual(refused.userErrors.map((error) => error.code), ['INVALID_CREDENTIALS']);
    });

    story('sends a message and watches the answer to its end', async () => {
      const { client } = await enter();
      const id = await send(client, '/words 60 /pace 5ms');
      const answer = new Answer();
      for await (const event of client.watch({ messageId: id })) answer.take(event);
      await isWhole(client, id, answer, 60);
      assert.equal(answer.resent, 0);
      counts.events += answer.sequences.length;
    });

    story('a line that drops is opened again by the library, and the text is whole', async () => {
      const { client, line } = await enter();
      const id = await send(client, '/words 150 /pace 20ms');
      const answer = new Answer();
      let connected = 0;
      for await (const event of client.watch({ messageId: id })) {
        answer.take(event);
        if (connected === 0 && answer.sequence >= 10) {
          connected = line.connections;
          counts.drops += line.cut();
        }
      }
      assert.ok(line.connections > connected, 'the line did not drop');
      await isWhole(client, id, answer, 150);
      counts.events += answer.sequences.length;
    });

    story('goes on behind the last event with `after`, without gap or repetition', async () => {
      const { client, line } = await enter();
      const id = await send(client, '/words 120 /pace 15ms');
      const answer = new Answer();
      for await (const event of client.watch({ messageId: id })) {
        answer.take(event);
        if (answer.sequence >= 20) {
          counts.drops += line.cut();
          break;
        }
      }
      const last = answer.sequence;
      const rest = [];
      for await (const event of client.watch({ messageId: id, after: last })) {
        answer.take(event);
        rest.push(event.sequence);
      }
      assert.deepEqual(rest, Array.from(rest, (_, at) => last + 1 + at), 'what is left is dense');
      await isWhole(client, id, answer, 120);
      counts.events += answer.sequences.length;
    });

    story('pages through a list from its first end to its last', async () => {
      const { client } = await enter(Session.signUp(URL_OF_ALL));
      const made = [];
      for (let n = 1; n <= CONVERSATIONS; n++) made.unshift(await createConversation(client, `Number ${n}`));
      const read = [];
      const pages = [];
      for (let after = null; ; ) {
        const page = data(await client.run('Conversations', { first: PAGE, after })).viewer.account.conversations;
        read.push(...page.edges.map((edge) => edge.node.id));
        pages.push([page.pageInfo.hasPreviousPage, page.pageInfo.hasNextPage]);
        assert.equal(page.pageInfo.endCursor, page.edges.at(-1).cursor);
        if (!page.pageInfo.hasNextPage) break;
        after = page.pageInfo.endCursor;
      }
      assert.deepEqual(read, made, 'each once, newest first');
      assert.deepEqual(pages, [[false, true], [true, true], [true, false]]);
    });

    story('pages backward from the last end', async () => {
      const { client } = await enter();
      const sent = data(await client.run('SendMessage', { input: message('/words 1') })).sendMessage;
      const { id } = sent.conversation;
      for await (const _ of client.watch({ messageId: sent.assistantMessage.id }));
      const end = data(await client.run('Messages', { id, last: 1 })).conversation.messages;
      assert.deepEqual(end.nodes.map((node) => node.role), ['ASSISTANT']);
      assert.deepEqual([end.pageInfo.hasPreviousPage, end.pageInfo.hasNextPage], [true, false]);
      const start = data(await client.run('Messages', { id, last: 1, before: end.pageInfo.startCursor }));
      assert.deepEqual(start.conversation.messages.nodes.map((node) => node.role), ['USER']);
      assert.equal(start.conversation.messages.pageInfo.hasPreviousPage, false);
    });

    story('reads an object again by its id', async () => {
      const { client } = await enter();
      const id = await createConversation(client, 'To be read again');
      const { node } = data(await client.run('Node', { id }));
      assert.deepEqual(
        { type: node.__typename, id: node.id, title: node.title },
        { type: 'Conversation', id, title: 'To be read again' },
      );
      const unknown = `cnv_${'0'.repeat(26)}`;
      assert.equal(data(await client.run('Node', { id: unknown })).node, null);
    });

    story('a refused mutation names the reason with its details', async () => {
      const { client } = await enter();
      const input = { ...message('/words 1'), options: { maxCredits: '0.000001' } };
      const { sendMessage } = data(await client.run('SendMessage', { input }));
      assert.equal(sendMessage.assistantMessage, null);
      const [refusal, ...others] = sendMessage.userErrors;
      assert.deepEqual(others, []);
      assert.equal(refusal.__typename, 'InsufficientCreditsError');
      assert.equal(refusal.code, 'INSUFFICIENT_CREDITS');
      assert.deepEqual(refusal.field, ['input', 'options', 'maxCredits']);
      assert.equal(refusal.available, '0.000001');
      assert.match(refusal.required, /^\d+\.\d{6}$/);
    });

    story('an error of the request arrives with its code', async () => {
      const client = await stranger();
      const { data: nothing, errors } = await client.run('Account', { id: `acc_${'0'.repeat(26)}` });
      assert.deepEqual(errors.map((error) => error.code), ['UNAUTHENTICATED']);
      assert.ok(!nothing?.account);
    });

    if (lives.expiry) {
      story('comes back by itself with a new token when the old one ends, and goes on', async () => {
        const { client, session } = await enter();
        const ends = session.expiresAt - Date.now();
        assert.ok(ends < 70_000, 'run the server with LOQUENT_AUTH__ACCESS_MINUTES=1');
        const pace = 80;
        const count = Math.ceil((ends + 6_000) / pace);
        const id = await send(client, `/words ${count} /pace ${pace}ms`);
        const answer = new Answer();
        for await (const event of client.watch({ messageId: id })) answer.take(event);
        await isWhole(client, id, answer, count);
        assert.ok(session.renewals >= 1, 'the token was not renewed');
        if (client.closes) assert.ok(client.closes.includes(4403), `closed with ${client.closes}`);
        counts.renewals += session.renewals;
        counts.events += answer.sequences.length;
      });
    }
  });
}

const data = (result) => {
  assert.deepEqual(result.errors ?? [], []);
  return result.data;
};

const message = (script) => ({
  parts: [{ text: `Tell me about the sea. ${script}` }],
  model: 'echo',
  options: { maxOutputTokens: 2000 },
  idempotencyKey: crypto.randomUUID(),
});

export async function send(client, script) {
  const { sendMessage } = data(await client.run('SendMessage', { input: message(script) }));
  assert.deepEqual(sendMessage.userErrors, []);
  return sendMessage.assistantMessage.id;
}

async function createConversation(client, title) {
  const input = { title, idempotencyKey: crypto.randomUUID() };
  const { createConversation } = data(await client.run('CreateConversation', { input }));
  assert.deepEqual(createConversation.userErrors, []);
  return createConversation.conversation.id;
}

// What was joined from events is what the server keeps, to the letter.
export async function isWhole(client, id, answer, count) {
  assert.equal(answer.end?.__typename, 'MessageFinished');
  assert.equal(words(answer.text), count);
  assert.equal(answer.end.message.text, answer.text);
  const { message } = data(await client.run('Message', { id }));
  assert.equal(message.text, answer.text);
  assert.equal(message.status, 'SUCCEEDED');
  assert.equal(message.streamSequence, answer.sequence);
}
