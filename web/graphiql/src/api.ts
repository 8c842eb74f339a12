/** Plain GraphQL over HTTP: one request, one answer, no session. */

export interface GraphQLFailure {
  message: string;
  extensions?: { code?: string };
}

export interface GraphQLResult {
  data?: Record<string, any> | null;
  errors?: readonly GraphQLFailure[];
}

export interface GraphQLRequest {
  query: string;
  variables?: Record<string, unknown> | null;
  operationName?: string | null;
}

export const ENDPOINT = '/graphql';

export async function post(
  request: GraphQLRequest,
  token: string | null,
  headers: Record<string, string> = {},
): Promise<GraphQLResult> {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    credentials: 'same-origin',
    headers: {
      accept: 'application/graphql-response+json, application/json;q=0.9',
      'content-type': 'application/json',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    body: JSON.stringify(request),
  });
  const text = await response.text();
  try {
    return JSON.parse(text) as GraphQLResult;
  } catch {
    // A proxy in between, not Loquent, answers without JSON.
    throw new Error(`The server answered ${response.status} without JSON: ${text.slice(0, 200)}`);
  }
}

/** True when the token, not the operation, is what the server refused. */
export function isRefusedToken(errors: readonly GraphQLFailure[] | undefined): boolean {
  return !!errors?.some(({ extensions }) =>
    ['UNAUTHENTICATED', 'TOKEN_EXPIRED'].includes(extensions?.code ?? ''),
  );
}
