/**
 * The reply being watched: the whole client rule of `messageStream` in one reducer. It survives a reload,
 * and `(sequence, text)` is always a pair that was true together, so that `after: sequence` continues it.
 */
import { Store } from './store';

export interface Reply {
  messageId: string;
  /** Sequence of the last event seen; 0 before the first. */
  sequence: number;
  text: string;
  status: string;
  /** Credits charged, or null until known. */
  credits: string | null;
  isOver: boolean;
  /** Why it failed or cannot be watched. */
  problem: string | null;
}

export interface StreamEvent {
  __typename: string;
  sequence: number;
  text?: string;
  message?: {
    text?: string;
    status?: string;
    generation?: { charge?: { creditsCharged?: string | null } };
  };
  error?: { message?: string };
}

export const reply = new Store<Reply | null>(null, 'loquent.reply');

export function newReply(messageId: string, status = 'QUEUED'): Reply {
  return { messageId, sequence: 0, text: '', status, credits: null, isOver: false, problem: null };
}

export function reduce(before: Reply, event: StreamEvent): Reply {
  const { message, sequence } = event;
  const credits = message?.generation?.charge?.creditsCharged ?? before.credits;
  const text = message?.text ?? before.text;
  switch (event.__typename) {
    case 'MessageSnapshot':
      return { ...before, sequence, text, credits, status: message?.status ?? before.status };
    case 'MessageFinished':
      return { ...before, sequence, text, credits, status: message?.status ?? 'SUCCEEDED', isOver: true };
    case 'MessageFailed':
      return {
        ...before,
        sequence,
        text,
        credits,
        status: message?.status ?? 'FAILED',
        problem: event.error?.message ?? null,
        isOver: true,
      };
  }
  // Sent again after a reconnect.
  if (sequence <= before.sequence) return before;
  const added = event.__typename === 'TextDelta' ? (event.text ?? '') : '';
  return { ...before, sequence, text: before.text + added, status: 'RUNNING' };
}

/** The stream event in a result, if it is one whose place in the log was asked for. */
export function eventOf(data: Record<string, any> | null | undefined): StreamEvent | null {
  const event = data?.messageStream;
  return event && typeof event.sequence === 'number' && event.__typename ? event : null;
}
