// A streamed reply from a model server that is not ours: the npm package @copilotkit/aimock speaks OpenAI's chat format on
// loopback. The reply must arrive complete, and the server's own count must be what is charged.
//
//   node aimock.mjs [path of the loquent binary]
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import assert from "node:assert/strict";
import { LLMock } from "@copilotkit/aimock";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const SIGN_UP = `mutation SignUp($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } } }`;
const SEND = `mutation Send($input: SendMessageInput!) {
  sendMessage(input: $input) { assistantMessage { id } userErrors { code message } }
}`;
const WATCH = `subscription Watch($messageId: ID!) {
  messageStream(messageId: $messageId) {
    __typename sequence
    ... on MessageSnapshot { message { text } }
    ... on TextDelta { text }
    ... on MessageFinished {
      message { text generation { charge { creditsCharged usage { inputTokens outputTokens source } } } }
    }
    ... on MessageFailed { error { code message } }
  }
}`;

const binary = resolve(process.argv[2] ?? "../../target/debug/loquent");
const reply = Array.from({ length: 120 }, (_, n) => `wörd-${n}`).join(" ");
const usage = { prompt_tokens: 41, completion_tokens: 137, total_tokens: 178 };

const mock = new LLMock({ port: 0 });
mock.onMessage("the sea", { content: reply, usage });
await mock.start();

const home = mkdtempSync(join(tmpdir(), "loquent-"));
chmodSync(home, 0o755);
writeFileSync(
  join(home, "loquent.toml"),
  `[providers.aimock]
base_url = "${mock.url}/v1"
api_key = "mock"
`,
);
writeFileSync(
  join(home, "offer.toml"),
  `format = 1
extends = "default"
[models.sea]
provider = "aimock"
upstream = "gpt-4o-mini"
context_tokens = 100000
max_output_tokens = 1000
prices = { input = "1000", output = "2000" }
`,
);
const env = { PATH: process.env.PATH, HOME: home, LOQUENT_DATA_DIR: join(home, "data") };
for (const name of ["DATABASE_URL", "LOQUENT_NPM_REGISTRY", "npm_config_registry"]) {
  if (process.env[name]) env[name] = process.env[name];
}
const server = spawn(binary, ["serve", "--dev", "--port", "0"], { cwd: home, env, stdio: ["ignore", "pipe", "inherit"] });

try {
  const base = await address(server.stdout);
  await offer(base);
  const token = await signUp(base);
  const sent = await gql(base, token, SEND, {
    input: { parts: [{ text: "Tell me about the sea." }], model: "sea", idempotencyKey: crypto.randomUUID() },
  });
  const answer = sent.sendMessage.assistantMessage;
  const events = await watch(base, token, answer.id);

  let text = "";
  events.slice(0, -1).forEach((event) => (text = event.message ? event.message.text : text + event.text));
  const end = events.at(-1);
  assert.equal(end.__typename, "MessageFinished");
  assert.equal(text, reply, "the joined deltas are the reply");
  assert.equal(end.message.text, reply, "the stored message is the reply");
  const charge = end.message.generation.charge;
  assert.deepEqual(charge.usage, { inputTokens: 41, outputTokens: 137, source: "PROVIDER" });
  assert.equal(charge.creditsCharged, "0.315000", "41 x 0.001 + 137 x 0.002");
  console.log(`aimock n=${events.length} ok`);
} finally {
  server.kill("SIGTERM");
  if (server.exitCode === null) await once(server, "exit");
  await mock.stop();
  rmSync(home, { recursive: true, force: true });
}

async function address(stdout) {
  for await (const line of createInterface({ input: stdout })) {
    const found = line.match(/GraphQL\s+(http:\S+)\/graphql/);
    if (found) {
      stdout.resume();
      return found[1];
    }
  }
  throw new Error("the server ended before it was ready");
}

// Applies the catalogue, and waits until the server has it.
async function offer(base) {
  const [status] = await once(spawn(binary, ["catalog", "apply", "offer.toml"], { cwd: home, env, stdio: "ignore" }), "exit");
  assert.equal(status, 0, "the catalogue is applied");
  for (let isThere = false; !isThere; ) {
    const { models } = await gql(base, undefined, "{ models { key } }");
    isThere = models.some(({ key }) => key === "sea");
    if (!isThere) await setTimeout(50);
  }
}

async function gql(base, token, query, variables) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(`${base}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

async function signUp(base) {
  const input = { email: "third@example.com", password: "violet-tractor-lantern" };
  const data = await gql(base, null, SIGN_UP, { input });
  return data.signUp.tokens.accessToken;
}

async function watch(base, token, messageId) {
  const client = createClient({
    url: `${base.replace("http", "ws")}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
  });
  const events = [];
  for await (const { data, errors } of client.iterate({ query: WATCH, variables: { messageId } })) {
    assert.equal(errors, undefined, JSON.stringify(errors));
    events.push(data.messageStream);
  }
  await client.dispose();
  return events;
}
