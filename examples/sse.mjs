// Sends a message and prints the answer while it is written: `fetch` and server-sent events, no WebSocket.
//
//   TOKEN=... node sse.mjs "Tell me about the sea."
import { createClient } from "graphql-sse";

const [text] = process.argv.slice(2);
const { TOKEN: token, SERVER: server = "http://127.0.0.1:3000" } = process.env;
if (!text || !token) {
  console.error("usage: TOKEN=... node sse.mjs <text>");
  process.exit(2);
}

const url = `${server}/graphql`;
const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };

const SEND = `mutation Send($input: SendMessageInput!) {
  sendMessage(input: $input) { assistantMessage { id } userErrors { message } }
}`;
const WATCH = `subscription Watch($messageId: ID!) {
  messageStream(messageId: $messageId) {
    sequence
    ... on MessageSnapshot { message { text } }
    ... on TextDelta { text }
  }
}`;

const input = { parts: [{ text }], idempotencyKey: crypto.randomUUID() };
const body = JSON.stringify({ query: SEND, variables: { input } });
const response = await fetch(url, { method: "POST", headers, body }).catch(() => fail(`no answer from ${server}`));
const { data, errors } = await response.json();
const [refusal] = errors ?? data.sendMessage.userErrors;
if (refusal) fail(refusal.message);

// A lost connection is opened again by the library, and begins with a snapshot: what is shown already is left out.
let shown = "";
const client = createClient({ url, headers });
const variables = { messageId: data.sendMessage.assistantMessage.id };
for await (const { data, errors } of client.iterate({ query: WATCH, variables })) {
  if (errors) fail(errors[0].message);
  const { message, text = "" } = data.messageStream;
  const whole = message ? message.text : shown + text;
  process.stdout.write(whole.slice(shown.length));
  shown = whole;
}
console.log();

function fail(message) {
  console.error(message);
  process.exit(1);
}
