/** Subscriptions over one WebSocket, and how they go on after it was lost. */
import { createClient, type Sink } from 'graphql-ws';
import { ENDPOINT, type GraphQLRequest, type GraphQLResult } from './api';
import { eventOf } from './reply';
import { currentToken, onChange, renew } from './session';

const PONG_WITHIN_MS = 5_000;
const RETRY_DELAYS_MS = [250, 1_000, 2_000, 4_000, 8_000, 15_000];
/** Losses that a new socket can mend: network, restart of the server, an expired or refused token. */
const RETRYABLE = new Set([1001, 1005, 1006, 1011, 1012, 1013, 4401, 4403, 4499]);

let sentToken: string | null = null;
let pongTimer: ReturnType<typeof setTimeout> | undefined;

const client = createClient({
  url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${ENDPOINT}`,
  lazy: true,
  keepAlive: 10_000,
  // Retried here instead, because a resumed stream needs the newest `after`.
  retryAttempts: 0,
  connectionParams: async () => {
    sentToken = await currentToken();
    return sentToken ? { authorization: `Bearer ${sentToken}` } : {};
  },
  on: {
    ping: (isReceived) => {
      if (!isReceived) pongTimer = setTimeout(() => client.terminate(), PONG_WITHIN_MS);
    },
    pong: (isReceived) => {
      if (isReceived) clearTimeout(pongTimer);
    },
    closed: () => clearTimeout(pongTimer),
  },
});

// A socket speaks for the person who opened it.
onChange.add(() => client.terminate());

/**
 * Runs a subscription until it completes, fails for good or the returned function is called. After a lost
 * socket it is asked again, with `after` moved to the last event seen if the operation has that variable.
 */
export function watch(request: GraphQLRequest, sink: Sink<GraphQLResult>): () => void {
  let variables = request.variables ?? {};
  let attempt = 0;
  let isStopped = false;
  let close = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const canResume = /\$after\s*:/.test(request.query);

  const open = () => {
    close = client.subscribe(
      { query: request.query, operationName: request.operationName, variables },
      {
        next: (result) => {
          attempt = 0;
          const event = eventOf(result.data as GraphQLResult['data']);
          if (event && canResume) variables = { ...variables, after: event.sequence };
          sink.next(result as GraphQLResult);
        },
        error: (problem) => void recover(problem),
        complete: () => {
          if (!isStopped) sink.complete();
        },
      },
    );
  };

  const recover = async (problem: unknown) => {
    if (isStopped) return;
    const code = closeCode(problem);
    const delay = RETRY_DELAYS_MS[attempt];
    if (code === null || !RETRYABLE.has(code) || delay === undefined) return sink.error(explain(problem));
    attempt += 1;
    if (code === 4401 || code === 4403) {
      const canGoOn = await renew(sentToken ?? undefined).catch(() => true);
      if (!canGoOn) return sink.error(explain(problem));
    }
    if (!isStopped) timer = setTimeout(open, delay);
  };

  open();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    close();
  };
}

function closeCode(problem: unknown): number | null {
  const code = (problem as { code?: unknown } | null)?.code;
  return typeof code === 'number' ? code : problem instanceof Event ? 1006 : null;
}

/** GraphQL errors stay as the server sent them; anything else becomes a sentence. */
function explain(problem: unknown): unknown {
  if (Array.isArray(problem) || problem instanceof Error) return problem;
  const { code, reason } = problem as { code?: number; reason?: string };
  return new Error(`The connection was closed${code ? ` (${code})` : ''}${reason ? `: ${reason}` : '.'}`);
}
