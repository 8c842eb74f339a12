// What tools ask to learn the schema: graphql-js's document, which GraphiQL, Apollo's tools and codegen send, with every
// combination of its options. Relay takes a schema file; `relay.test.mjs` gives it ours.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { buildClientSchema, buildSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema } from 'graphql';

// All but those that no edition of the specification has.
const OPTIONS = [
  'descriptions',
  'specifiedByUrl',
  'directiveIsRepeatable',
  'schemaDescription',
  'inputValueDeprecation',
  'oneOf',
];
const EVERYTHING = Object.fromEntries(OPTIONS.map((option) => [option, true]));

async function introspect(options, method) {
  const query = getIntrospectionQuery(options);
  const url = new URL(`${process.env.SERVER}/graphql`);
  const headers = { 'content-type': 'application/json', 'graphql-require-preflight': '1' };
  let body;
  if (method === 'GET') url.searchParams.set('query', query);
  else body = JSON.stringify({ query, operationName: 'IntrospectionQuery' });
  const response = await fetch(url, { method, headers, body });
  return { status: response.status, ...(await response.json()) };
}

test('every combination of options is answered', async () => {
  let count = 0;
  for (let mask = 0; mask < 2 ** OPTIONS.length; mask++) {
    const options = Object.fromEntries(OPTIONS.map((option, bit) => [option, Boolean(mask & (2 ** bit))]));
    const { status, errors, data } = await introspect(options, 'POST');
    assert.deepEqual(errors ?? [], [], JSON.stringify(options));
    assert.equal(status, 200);
    assert.ok(data.__schema.types.length > 20);
    count += 1;
  }
  console.log(`introspection documents n=${count} ok`);
});

test('every depth of types up to the usual one is answered', async () => {
  for (let typeDepth = 1; typeDepth <= 9; typeDepth++) {
    const { errors } = await introspect({ ...EVERYTHING, typeDepth }, 'POST');
    assert.deepEqual(errors ?? [], [], `typeDepth ${typeDepth}`);
  }
});

test('a GET is answered as well', async () => {
  const { status, errors } = await introspect(EVERYTHING, 'GET');
  assert.deepEqual(errors ?? [], []);
  assert.equal(status, 200);
});

test('what was learned is the schema file', async () => {
  // The engine describes every schema with the same sentence, and leaves the arguments of directives without their
  // descriptions in the file.
  const { data } = await introspect({ ...EVERYTHING, schemaDescription: false }, 'POST');
  for (const { args } of data.__schema.directives) args.forEach((argument) => (argument.description = null));
  const learned = printSchema(lexicographicSortSchema(buildClientSchema(data)));
  const file = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
  assert.equal(learned, printSchema(lexicographicSortSchema(buildSchema(file))));
});
