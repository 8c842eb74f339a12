// Walks through /graphiql of a running `loquent serve --dev` as a newcomer would, every other host blocked.
//
//   node walk.mjs http://127.0.0.1:3000 shots
//
// Prints `browser walk n=<words> requests=<of the page> ok`. Without a Chromium it prints `SKIPPED: no chromium` and
// succeeds.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from './browser.mjs';

const [base, shots = 'shots'] = process.argv.slice(2);
if (!base) {
  console.error('usage: node walk.mjs <base URL> [directory of screenshots]');
  process.exit(2);
}
const origin = new URL(base).origin;
const STEP_MS = 30_000;
const WORDS = 200;

const browser = await launch();
try {
  mkdirSync(shots, { recursive: true });
  await walk();
} finally {
  await browser.close();
}

async function walk() {
  const context = await browser.newContext({ viewport: { width: 1400, height: 860 } });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  const { problems, asked } = await guard(context, page);
  const shot = (name) => page.screenshot({ path: join(shots, `${name}.png`) });

  await page.goto(`${origin}/graphiql`);
  await isReady(page);
  await page.getByRole('button', { name: 'Sign in as demo user' }).click();
  await page.getByTestId('who').waitFor();

  await runTab(page, 'WhoAmI');
  await resultShows(page, '"viewer"');
  await shot('1-who-am-i');

  await runTab(page, 'SendMessage');
  await resultShows(page, '"assistantMessage"');
  await shot('2-send-message');

  await runTab(page, 'WatchIt');
  await hasWords(page, WORDS / 10);
  await shot('3-watch-it');
  await page.getByRole('button', { name: 'Stop query' }).click();

  await runTab(page, 'Resume');
  const stoppedAt = await words(page);
  await hasWords(page, stoppedAt + WORDS / 10);
  assert.equal(await page.getByText('Writing', { exact: true }).count(), 1, 'the reload is not in the middle');
  await page.reload();
  await isReady(page);
  assert.equal(await page.getByRole('tab').count(), 5, 'the reload changed the tabs');
  await shot('4-reloaded');
  await page.getByText('Finished', { exact: true }).waitFor();

  await runTab(page, 'WhatDidItCost');
  await resultShows(page, '"creditsCharged"');
  await shot('5-what-did-it-cost');

  const message = await storedMessage(page);
  assert.equal(await page.getByTestId('reply-text').textContent(), message.text, 'the page shows another text');
  assert.equal(message.text.trim().split(/\s+/).length, WORDS);
  const charged = Number(message.generation.charge.creditsCharged);
  assert.ok(charged > 0, 'nothing was charged');
  const shown = Number(await page.getByTestId('reply-credits').textContent());
  assert.ok(Math.abs(shown - charged) <= 0.000_05, `charged ${charged}, shown ${shown}`);
  assert.deepEqual(problems, []);
  assert.deepEqual([...asked.keys()], [origin], 'somebody else was asked');
  await isSeen(context, problems);
  console.log(`browser walk n=${WORDS} requests=${asked.get(origin)} ok`);
}

// Notes every request by the origin it goes to, sockets included, and lets those of this server through. The browser
// itself finds no other host either. What was blocked or failed ends up in `problems`.
async function guard(context, page) {
  const problems = [];
  const asked = new Map();
  const note = (origin) => asked.set(origin, (asked.get(origin) ?? 0) + 1);
  await context.route('**/*', (route) => {
    const url = new URL(route.request().url());
    if (url.protocol === 'data:' || url.protocol === 'blob:') return route.continue();
    note(url.origin);
    if (url.origin === origin) return route.continue();
    problems.push(`blocked ${url}`);
    return route.abort();
  });
  page.on('websocket', (socket) => note(socket.url().replace(/^ws(s?:\/\/[^/]*).*/, 'http$1')));
  page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
  page.on('console', (line) => {
    if (/content security policy/i.test(line.text())) problems.push(line.text());
  });
  return { problems, asked };
}

// The proof that silence means something: who asks for another host is noticed, and does not find it.
async function isSeen(context, problems) {
  const elsewhere = 'http://elsewhere.example/';
  const page = await context.newPage();
  await assert.rejects(page.goto(elsewhere));
  assert.deepEqual(problems, [`blocked ${elsewhere}`]);
  await page.close();
}

async function isReady(page) {
  await page.locator('.graphiql-query-editor .view-line').first().waitFor();
}

async function runTab(page, name) {
  await page.locator('.graphiql-tabs').getByRole('button', { name, exact: true }).click();
  // The editor has the tab's own operation before it is run.
  await page.locator('.graphiql-query-editor').getByText(name, { exact: true }).first().waitFor();
  await page.getByRole('button', { name: /^Execute query/ }).click();
}

async function resultShows(page, text) {
  await page.locator('.graphiql-response').getByText(text).first().waitFor();
}

async function words(page) {
  const text = await page.getByTestId('reply-text').textContent();
  return text.trim().split(/\s+/).length;
}

async function hasWords(page, count) {
  await page.waitForFunction(
    ([id, least]) => {
      const panel = document.querySelector(`[data-testid=${id}]`);
      // Before the first word the panel holds a hint.
      const isText = panel && !panel.querySelector('.hint');
      return isText && panel.textContent.trim().split(/\s+/).length >= least;
    },
    ['reply-text', count],
  );
}

// What the server keeps, asked outside of the page's own code.
async function storedMessage(page) {
  const query = 'query ($id: ID!) { message(id: $id) { text generation { charge { creditsCharged } } } }';
  return page.evaluate(async (query) => {
    const { accessToken } = JSON.parse(sessionStorage.getItem('loquent.tokens'));
    const { messageId } = JSON.parse(sessionStorage.getItem('loquent.reply'));
    const response = await fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${accessToken}` },
      body: JSON.stringify({ query, variables: { id: messageId } }),
    });
    return (await response.json()).data.message;
  }, query);
}
