/** The reply below the result: GraphiQL shows only the newest event, people want to read the text. */
import { useEffect, useRef, useState } from 'react';
import { follow } from './fetcher';
import { shownCredits } from './numbers';
import { reply, type Reply } from './reply';
import { useStore } from './store';
import { FOLLOW } from './tabs';

const LABELS: Record<string, string> = {
  QUEUED: 'Queued',
  RUNNING: 'Writing',
  WAITING: 'Waiting',
  SUCCEEDED: 'Finished',
  FAILED: 'Failed',
  CANCELED: 'Canceled',
  INTERRUPTED: 'Interrupted',
  EXPIRED: 'Expired',
};

export function LiveReply() {
  const current = useStore(reply);
  const wasResumed = useResumeAfterReload();
  const textRef = useRef<HTMLDivElement>(null);

  // Keeps the newest words in view.
  useEffect(() => {
    const element = textRef.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, [current?.text]);

  if (!current) return null;
  return (
    <details className="reply" open>
      <summary>
        <h2>Streamed reply</h2>
        <span className="badge" data-status={current.status} role="status">
          {LABELS[current.status] ?? current.status}
        </span>
        <dl>
          <div>
            <dt>Sequence</dt>
            <dd data-testid="reply-sequence">{current.sequence}</dd>
          </div>
          <div>
            <dt>Credits charged</dt>
            <dd data-testid="reply-credits">{current.credits === null ? '—' : shownCredits(current.credits)}</dd>
          </div>
        </dl>
      </summary>
      <div className="reply-text" ref={textRef} tabIndex={0} aria-label="Text so far" data-testid="reply-text">
        {current.text || <span className="hint">{hint(current)}</span>}
      </div>
      {current.problem && (
        <p className="problem" role="alert">
          {current.problem}
        </p>
      )}
      <footer>
        <code title="Message">{current.messageId}</code>
        {wasResumed && <span>Resumed after the reload</span>}
      </footer>
    </details>
  );
}

function hint(current: Reply): string {
  return current.isOver ? 'There is no text.' : 'Sent. Open the tab WatchIt and run it to see the words arrive.';
}

/** Continues a reply that was being written when the page was left. */
function useResumeAfterReload(): boolean {
  const [wasResumed, setResumed] = useState(false);
  useEffect(() => {
    const left = reply.get();
    if (!left || left.isOver) return;
    setResumed(true);
    const variables = { messageId: left.messageId, after: left.sequence || null };
    const stop = follow({ query: FOLLOW, operationName: 'Follow', variables }, (problem) => {
      const now = reply.get();
      if (now?.messageId === left.messageId) reply.set({ ...now, problem: sentence(problem) });
    });
    // A newer message has its own reader.
    const leave = reply.subscribe(() => {
      if (reply.get()?.messageId === left.messageId) return;
      setResumed(false);
      stop();
      leave();
    });
    return () => {
      leave();
      stop();
    };
  }, []);
  return wasResumed;
}

function sentence(problem: unknown): string {
  const first = Array.isArray(problem) ? problem[0] : problem;
  return (first as { message?: string } | undefined)?.message ?? 'The reply cannot be watched now.';
}
