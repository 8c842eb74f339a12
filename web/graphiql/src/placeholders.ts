/** Placeholders in the variables: values this page knows better than the person typing. */
import { reply } from './reply';

const AUTO = 'auto';
/** `after: -1`, because the editor underlines a text where the schema wants an Int. No sequence is negative. */
const LAST_SEEN = -1;

/** Copies the variables with every placeholder filled in; throws when there is nothing to fill one with. */
export function fill<T>(value: T, name = ''): T {
  if (Array.isArray(value)) return value.map((item) => fill(item, name)) as T;
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, key)])) as T;
  }
  if (name === 'idempotencyKey' && value === AUTO) return newKey() as T;
  if (name === 'messageId' && value === AUTO) return lastMessageId() as T;
  if (name === 'after' && value === LAST_SEEN) return (reply.get()?.sequence || null) as T;
  return value;
}

function lastMessageId(): string {
  const messageId = reply.get()?.messageId;
  if (!messageId) throw new Error('There is no message yet: run the tab SendMessage first.');
  return messageId;
}

/** A random UUID; `crypto.randomUUID` exists on https and localhost only. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
