/** The ways in: e-mail and password, a new account, or a token made elsewhere. */
import { useState, type FormEvent, type RefObject } from 'react';
import { authenticate, acceptToken } from './session';

const WAYS = { signIn: 'Sign in', signUp: 'Create account', token: 'Paste a token' } as const;
type Way = keyof typeof WAYS;

export function SignInDialog({ ref }: { ref: RefObject<HTMLDialogElement | null> }) {
  const [way, setWay] = useState<Way>('signIn');
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const field = (name: string) => String(fields.get(name) ?? '').trim();
    setBusy(true);
    setProblem(null);
    try {
      if (way === 'token') await acceptToken(field('token').replace(/^bearer\s+/i, ''));
      else await authenticate(way, credentials(way, field('name'), field('email'), String(fields.get('password'))));
      ref.current?.close();
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <dialog ref={ref} className="sign-in" aria-label="Sign in">
      <div className="ways" role="group" aria-label="Way to sign in">
        {(Object.keys(WAYS) as Way[]).map((key) => (
          <button type="button" key={key} aria-pressed={way === key} onClick={() => setWay(key)}>
            {WAYS[key]}
          </button>
        ))}
      </div>
      <form onSubmit={(event) => void submit(event)}>
        {way === 'token' ? <TokenField /> : <CredentialFields way={way} />}
        {problem && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <div className="actions">
          <button type="button" onClick={() => ref.current?.close()}>
            Close
          </button>
          <button type="submit" className="primary" disabled={isBusy}>
            {way === 'token' ? 'Use this token' : WAYS[way]}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function credentials(way: Way, name: string, email: string, password: string) {
  return way === 'signUp' && name ? { email, password, name } : { email, password };
}

function CredentialFields({ way }: { way: Way }) {
  const isNew = way === 'signUp';
  return (
    <>
      {isNew && (
        <label>
          Name <span className="hint">(optional)</span>
          <input name="name" autoComplete="name" />
        </label>
      )}
      <label>
        E-mail
        <input name="email" type="email" autoComplete="email" required autoFocus />
      </label>
      <label>
        Password
        <input
          name="password"
          type="password"
          autoComplete={isNew ? 'new-password' : 'current-password'}
          minLength={isNew ? 8 : undefined}
          required
        />
      </label>
    </>
  );
}

function TokenField() {
  return (
    <label>
      Access token or API key
      <textarea name="token" rows={4} required autoFocus spellCheck={false} autoComplete="off" />
      <span className="hint">Kept in this browser tab only. It is not renewed when it expires.</span>
    </label>
  );
}
