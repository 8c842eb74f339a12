// graphql-codegen with its client preset: types from the committed file and from the running server are the same, and a
// small program compiles with them and runs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { generate } from '@graphql-codegen/cli';
import { Session } from './session.mjs';

const home = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);
const url = `${process.env.SERVER}/graphql`;

async function generated(schema, directory) {
  const target = join(home, 'generated', directory);
  rmSync(target, { recursive: true, force: true });
  await generate({
    cwd: home,
    silent: true,
    schema,
    documents: ['codegen/program.ts'],
    emitLegacyCommonJSImports: false,
    generates: {
      [`${target}/`]: {
        preset: 'client',
        presetConfig: { fragmentMasking: false },
        config: { useTypeImports: true, scalars: { DateTime: 'string', Decimal: 'string', EmailAddress: 'string' } },
      },
    },
  });
  return Object.fromEntries(readdirSync(target).sort().map((file) => [file, readFileSync(join(target, file), 'utf8')]));
}

function compile() {
  const tsc = join(require.resolve('typescript/package.json'), '../bin/tsc');
  for (const emit of [['--noEmit'], []]) {
    execFileSync(process.execPath, [tsc, '--project', 'codegen/tsconfig.json', ...emit], { cwd: home, stdio: 'pipe' });
  }
}

test('codegen: types from the file and from the server agree, and a program compiles with them and runs', async () => {
  const fromFile = await generated('../../schema.graphql', 'codegen');
  // The loader asks for the newer parts of the specification only when told to.
  const fromServer = await generated([{ [url]: { oneOf: true } }], 'codegen-server');
  assert.deepEqual(fromServer, fromFile);
  try {
    compile();
  } catch (error) {
    assert.fail(String(error.stdout));
  }
  const { over, send } = await import('./generated/program/codegen/program.js');
  const session = await Session.signUp(url);
  const ask = over(url, await session.accessToken());
  const input = { parts: [{ text: '/words 2' }], model: 'echo', idempotencyKey: crypto.randomUUID() };
  assert.match(await send(ask, input), /^(QUEUED|RUNNING|SUCCEEDED)$/);
  const poor = { ...input, options: { maxCredits: '0.000001' }, idempotencyKey: crypto.randomUUID() };
  assert.match(await send(ask, poor), /^\d+\.\d{6} credits are needed$/);
  const lines = Object.values(fromFile).join('').split('\n').length;
  console.log(`codegen files=${Object.keys(fromFile).length} lines=${lines} tsc ok`);
});
