// A small program that knows the schema at compile time: what is wrong about a field, an argument or an enum value does
// not compile. Each `@ts-expect-error` is a mistake that the compiler has to find.
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { graphql } from '../generated/codegen/gql.js';
import type { SendMessageInput } from '../generated/codegen/graphql.js';

const SEND = graphql(`
  mutation TypedSend($input: SendMessageInput!) {
    sendMessage(input: $input) {
      assistantMessage { id status }
      userErrors { __typename code message field ... on InsufficientCreditsError { required available } }
    }
  }
`);

const WATCH = graphql(`
  subscription TypedWatch($messageId: ID!, $after: Int) {
    messageStream(messageId: $messageId, after: $after) {
      __typename
      sequence
      ... on MessageSnapshot { message { text } }
      ... on TextDelta { text }
      ... on MessageFinished { finishReason }
    }
  }
`);

const MESSAGE = graphql(`query TypedMessage($id: ID!) { message(id: $id) { id status text createdAt } }`);

export type Ask = <Data, Variables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
) => Promise<Data>;

// Asks over HTTP what the document says, and answers in its type.
export const over = (url: string, token: string): Ask => async (document, variables) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data } = await response.json();
  return data;
};

// The status of the answer to a message, or the credits that are missing for it.
export async function send(ask: Ask, input: SendMessageInput): Promise<string> {
  const { sendMessage } = await ask(SEND, { input });
  const [error] = sendMessage.userErrors;
  if (error?.__typename === 'InsufficientCreditsError') return `${error.required} credits are needed`;
  if (error) return error.code;
  const id: string = sendMessage.assistantMessage!.id;
  const { message } = await ask(MESSAGE, { id });
  return message!.status;
}

type Watched = typeof WATCH extends TypedDocumentNode<infer Data, infer _> ? Data : never;

export function text(event: Watched['messageStream']): string {
  switch (event.__typename) {
    case 'MessageSnapshot':
      return event.message.text;
    case 'TextDelta':
      return event.text;
    default:
      return '';
  }
}

export async function mistakes(ask: Ask) {
  // @ts-expect-error an id is needed
  await ask(MESSAGE, {});
  const { message } = await ask(MESSAGE, { id: 'msg_' });
  // @ts-expect-error a message may be null
  message.id;
  // @ts-expect-error no such field was asked for
  message?.role;
  // @ts-expect-error there is no such status
  message?.status === 'DONE';
  // @ts-expect-error an idempotency key is needed
  await send(ask, { parts: [{ text: 'Hello' }] });
}
