/** How GraphiQL reaches the server: placeholders filled, token added, results noticed on their way back. */
import type { Fetcher } from '@graphiql/toolkit';
import { Kind, parse, type OperationDefinitionNode } from 'graphql';
import { post, type GraphQLRequest, type GraphQLResult } from './api';
import { fill } from './placeholders';
import { eventOf, newReply, reduce, reply } from './reply';
import { authorized, reloadProfile } from './session';
import { watch } from './stream';

export const fetcher: Fetcher = (params, options) => {
  const operation = chosenOperation(params.query, params.operationName);
  const request: GraphQLRequest = {
    query: params.query,
    operationName: operation?.name?.value ?? params.operationName,
    variables: fill(params.variables ?? {}),
  };
  const kind = operation?.operation ?? 'query';
  if (kind === 'subscription') return observe(request) as ReturnType<Fetcher>;
  return send(request, kind, options?.headers ?? {}) as ReturnType<Fetcher>;
};

async function send(
  request: GraphQLRequest,
  kind: string,
  headers: Record<string, string>,
): Promise<GraphQLResult> {
  // A credential typed into the headers editor is the person's own business: sent as it is, never renewed.
  const isOwnCredential = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
  const result = isOwnCredential
    ? await post(request, null, headers)
    : await authorized((token) => post(request, token, headers));
  const answer = result.data?.sendMessage?.assistantMessage;
  if (answer?.id && answer.id !== reply.get()?.messageId) reply.set(newReply(answer.id, answer.status));
  if (kind === 'mutation') void reloadProfile();
  return result;
}

/** The observable GraphiQL wants for a subscription; every stream event also feeds the reply below the result. */
function observe(request: GraphQLRequest) {
  return {
    subscribe: (sink: { next(value: unknown): void; error(problem: unknown): void; complete(): void }) => ({
      unsubscribe: watch(request, {
        next: (result) => {
          notice(request, result);
          sink.next(result);
        },
        error: sink.error,
        complete: sink.complete,
      }),
    }),
  };
}

/** Follows the reply without a tab, as after a reload. */
export function follow(request: GraphQLRequest, onProblem: (problem: unknown) => void): () => void {
  return watch(request, {
    next: (result) => (result.errors ? onProblem(result.errors) : notice(request, result)),
    error: onProblem,
    complete: () => {},
  });
}

function notice(request: GraphQLRequest, result: GraphQLResult): void {
  const event = eventOf(result.data);
  const messageId = request.variables?.messageId;
  if (!event || typeof messageId !== 'string') return;
  const current = reply.get();
  const next = reduce(current?.messageId === messageId ? current : newReply(messageId), event);
  reply.set(next);
  if (next.isOver) void reloadProfile();
}

/**
 * The operation to run, read from the text: for a moment after a change of tab GraphiQL still names the
 * operation of the tab before. Null for a text the server will have to refuse.
 */
function chosenOperation(query: string, name: string | null | undefined): OperationDefinitionNode | null {
  try {
    const operations = parse(query).definitions.filter(
      (definition): definition is OperationDefinitionNode => definition.kind === Kind.OPERATION_DEFINITION,
    );
    return operations.find((operation) => operation.name?.value === name) ?? operations[0] ?? null;
  } catch {
    return null;
  }
}
