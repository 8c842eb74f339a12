// Watches an answer being written, from its beginning or from where you left off.
//
//   TOKEN=... node watch.mjs <message id> [sequence of the last event you have]
//
// A lost connection is opened again and goes on behind the last event. Ctrl-C stops watching, never the answer, and
// says how to go on. SERVER is the address, by default http://127.0.0.1:3000.
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [messageId, after] = process.argv.slice(2);
const { TOKEN: token, SERVER: server = "http://127.0.0.1:3000" } = process.env;
if (!messageId || !token) {
  console.error("usage: TOKEN=... node watch.mjs <message id> [sequence]");
  process.exit(2);
}

const WATCH = `subscription Watch($messageId: ID!, $after: Int) {
  messageStream(messageId: $messageId, after: $after) {
    __typename sequence
    ... on MessageSnapshot { message { text } }
    ... on TextDelta { text }
    ... on MessageFinished { finishReason message { generation { charge { creditsCharged } } } }
    ... on MessageFailed { error { code message } }
  }
}`;

const client = createClient({
  url: `${server.replace(/^http/, "ws")}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  // The library would ask again for what it has had already; `watch` below asks for the rest.
  retryAttempts: 0,
  on: { opened: () => (wasThere = true) },
});

// A server that was never there is a wrong address; one that is gone comes back.
let wasThere = false;

let last = after === undefined ? null : Number(after);

function show(event) {
  last = event.sequence;
  switch (event.__typename) {
    case "MessageSnapshot": // Replaces what was shown before.
      return process.stdout.write(event.message.text);
    case "TextDelta":
      return process.stdout.write(event.text);
    case "MessageFinished":
      return say(`${event.finishReason}, ${event.message.generation.charge.creditsCharged} credits`);
    case "MessageFailed":
      return say(`${event.error.code}: ${event.error.message}`);
  }
}

function say(line) {
  console.error(`\n[${line}; last event ${last}]`);
}

async function watch() {
  for await (const { data, errors } of client.iterate({ query: WATCH, variables: { messageId, after: last } })) {
    if (errors) throw errors;
    show(data.messageStream);
  }
}

// Errors of GraphQL come as a list; socket codes from 4400 on are final too: a credential that is wrong or has expired.
const isFinal = (error) => Array.isArray(error) || error.code >= 4400;

// An error of the network, a closed socket, or a list of errors of GraphQL.
const reason = (error) => (Array.isArray(error) ? error[0].message : error.reason || error.message || `closed (${error.code})`);

process.on("SIGINT", () => {
  say(`stopped watching; go on with: node watch.mjs ${messageId} ${last ?? ""}`);
  process.exit(0);
});

for (let attempt = 1; ; attempt++) {
  try {
    await watch();
    break;
  } catch (error) {
    if (!wasThere) console.error(`no answer from ${server}: ${reason(error)}`);
    else if (isFinal(error) || attempt === 10) console.error(reason(error));
    else {
      say(`${reason(error)}; trying again`);
      await sleep(500 * attempt);
      continue;
    }
    process.exit(1);
  }
}
await client.dispose();
