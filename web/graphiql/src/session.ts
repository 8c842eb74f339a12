/**
 * Who is signed in. Tokens live in sessionStorage: gone with the browser tab, and never in an address.
 * Everything that needs a token asks `currentToken`, which renews it shortly before it expires.
 */
import { isRefusedToken, post, type GraphQLResult } from './api';
import { Store } from './store';

interface Tokens {
  accessToken: string;
  /** Null for a pasted token, which cannot be renewed here. */
  refreshToken: string | null;
  /** Local time in milliseconds from which the token is renewed before use; null: only when refused. */
  renewAt: number | null;
}

export interface Profile {
  user: { name: string | null; email: string };
  account: {
    name: string;
    plan: { name: string } | null;
    creditBalance: { available: string; held: string } | null;
  };
}

const RENEW_BEFORE_MS = 60_000;
const TOKENS = 'accessToken accessTokenExpiresAt refreshToken';
const AUTH_PAYLOAD = `{ tokens { ${TOKENS} } userErrors { code message } }`;
const PROFILE = `query Profile {
  viewer {
    user { name email }
    account { name plan { name } creditBalance { available held } }
  }
}`;

const tokens = new Store<Tokens | null>(null, 'loquent.tokens');
export const profile = new Store<Profile | null>(null);
/** A sentence to the person, such as why the session ended. */
export const notice = new Store<string | null>(null);
/** Called whenever another person, or nobody, is signed in. */
export const onChange = new Set<() => void>();

/** Signs in or up; throws an error whose message is fit to be shown. */
export async function authenticate(
  how: 'signIn' | 'signUp',
  input: { email: string; password: string; name?: string },
): Promise<void> {
  const type = how === 'signIn' ? 'SignInInput' : 'SignUpInput';
  const query = `mutation Authenticate($input: ${type}!) { payload: ${how}(input: $input) ${AUTH_PAYLOAD} }`;
  const payload = unwrap(await post({ query, variables: { input } }, null));
  if (!payload.tokens) {
    throw new Error(
      payload.userErrors[0]?.message ?? 'This account needs another step to sign in. Paste a token instead.',
    );
  }
  await begin(fromServer(payload.tokens));
}

/** Uses a token made elsewhere. */
export async function acceptToken(accessToken: string): Promise<void> {
  await begin({ accessToken, refreshToken: null, renewAt: null });
  const problem = notice.get();
  if (problem) {
    notice.set(null);
    throw new Error(problem);
  }
}

export async function signOut(): Promise<void> {
  const token = tokens.get()?.accessToken ?? null;
  end(null);
  const query = 'mutation SignOut { signOut(input: {}) { isAccepted } }';
  // The tokens are forgotten here whatever the server says.
  await post({ query }, token).catch(() => undefined);
}

/** The bearer token to send now, or null for an anonymous request. */
export async function currentToken(): Promise<string | null> {
  const renewAt = tokens.get()?.renewAt;
  if (renewAt && Date.now() >= renewAt) await renew();
  return tokens.get()?.accessToken ?? null;
}

/** Sends with the token and, if it is refused, once more with a renewed one. */
export async function authorized(
  send: (token: string | null) => Promise<GraphQLResult>,
): Promise<GraphQLResult> {
  const token = await currentToken();
  const result = await send(token);
  if (!token || !isRefusedToken(result.errors)) return result;
  return (await renew(token)) ? send(tokens.get()?.accessToken ?? null) : result;
}

let renewal: Promise<boolean> | null = null;

/**
 * Exchanges the refresh token; false when the session cannot go on. A refresh token works once, so
 * callers share one exchange, and `refused` keeps a late caller from spending the next one.
 */
export function renew(refused?: string): Promise<boolean> {
  const current = tokens.get();
  if (refused && current && current.accessToken !== refused) return Promise.resolve(true);
  renewal ??= exchange(current).finally(() => {
    renewal = null;
  });
  return renewal;
}

async function exchange(current: Tokens | null): Promise<boolean> {
  if (!current) return false;
  if (current.refreshToken) {
    const query = `mutation Renew($input: RefreshSessionInput!) {
      payload: refreshSession(input: $input) ${AUTH_PAYLOAD}
    }`;
    const variables = { input: { refreshToken: current.refreshToken } };
    const fresh = unwrap(await post({ query, variables }, null)).tokens;
    // Somebody may have signed out, or in, while this request was under way.
    if (tokens.get() !== current) return tokens.get() !== null;
    if (fresh) {
      tokens.set(fromServer(fresh));
      return true;
    }
  }
  end('Your session has ended. Sign in again to go on.');
  return false;
}

/** Reads name, account and credits again. */
export async function reloadProfile(): Promise<void> {
  if (!tokens.get()) return;
  try {
    const result = await authorized((token) => post({ query: PROFILE }, token));
    if (isRefusedToken(result.errors)) end('The server does not accept this token.');
    else if (tokens.get()) profile.set((result.data?.viewer as Profile | undefined) ?? null);
  } catch {
    notice.set('The server cannot be reached.');
  }
}

async function begin(next: Tokens): Promise<void> {
  tokens.set(next);
  notice.set(null);
  for (const listener of onChange) listener();
  await reloadProfile();
}

function end(why: string | null): void {
  tokens.set(null);
  profile.set(null);
  notice.set(why);
  for (const listener of onChange) listener();
}

function fromServer(fresh: {
  accessToken: string;
  accessTokenExpiresAt: string;
  refreshToken: string | null;
}): Tokens {
  const renewAt = Date.parse(fresh.accessTokenExpiresAt) - RENEW_BEFORE_MS;
  // Expired on arrival means that this computer's clock is wrong: wait for the server's refusal then.
  const isClockUsable = renewAt > Date.now();
  return {
    accessToken: fresh.accessToken,
    refreshToken: fresh.refreshToken,
    renewAt: isClockUsable ? renewAt : null,
  };
}

function unwrap(result: GraphQLResult): Record<string, any> {
  const payload = result.data?.payload;
  if (!payload) throw new Error(result.errors?.[0]?.message ?? 'The server sent no answer.');
  return payload;
}
