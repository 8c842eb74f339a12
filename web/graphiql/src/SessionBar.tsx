/** The bar on top: who is signed in, what is left to spend, and the way in and out. */
import { useRef, useState } from 'react';
import iconUrl from './icon.svg';
import type { Config } from './config';
import { shownCredits } from './numbers';
import { reply } from './reply';
import { authenticate, notice, profile, signOut, type Profile } from './session';
import { SignInDialog } from './SignInDialog';
import { useStore } from './store';

export function SessionBar({ demo }: { demo: Config['demo'] }) {
  const who = useStore(profile);
  const message = useStore(notice);
  return (
    <header className="bar">
      <img src={iconUrl} alt="" width="26" height="26" />
      <strong className="brand">Loquent</strong>
      <span className="subtitle">API explorer</span>
      <span className="notice" role="status">
        {message}
      </span>
      {who ? <SignedIn who={who} /> : <SignedOut demo={demo} />}
    </header>
  );
}

function SignedIn({ who }: { who: Profile }) {
  const { user, account } = who;
  const leave = () => {
    // The next person in this browser tab must not read it.
    reply.set(null);
    void signOut();
  };
  const balance = account.creditBalance;
  return (
    <>
      <div className="who" data-testid="who">
        <span className="name">{user.name ?? user.email}</span>
        <span className="detail" title={user.email}>
          {[account.name, account.plan?.name].filter(Boolean).join(' · ')}
        </span>
      </div>
      {balance && (
        <div className="credits" data-testid="credits" title="Credits that may be spent now">
          <span className="amount">{shownCredits(balance.available)}</span> credits
          {Number(balance.held) > 0 && <span className="held">{shownCredits(balance.held)} held</span>}
        </div>
      )}
      <button type="button" onClick={leave}>
        Sign out
      </button>
    </>
  );
}

function SignedOut({ demo }: { demo: Config['demo'] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const signInAsDemo = async (who: NonNullable<Config['demo']>) => {
    setBusy(true);
    await authenticate('signIn', who).catch((problem: Error) => notice.set(problem.message));
    setBusy(false);
  };
  return (
    <>
      {demo && (
        <button type="button" className="primary" disabled={isBusy} onClick={() => void signInAsDemo(demo)}>
          Sign in as demo user
        </button>
      )}
      <button type="button" className={demo ? '' : 'primary'} onClick={() => dialog.current?.showModal()}>
        Sign in…
      </button>
      <SignInDialog ref={dialog} />
    </>
  );
}
