import { useSyncExternalStore } from 'react';

/** One value that components can watch. With a `key` it survives a reload of this browser tab. */
export class Store<T> {
  private value: T;
  private readonly listeners = new Set<() => void>();

  constructor(
    initial: T,
    private readonly key?: string,
  ) {
    this.value = (key && restore<T>(key)) || initial;
  }

  get = (): T => this.value;

  set = (value: T): void => {
    this.value = value;
    if (this.key) keep(this.key, value);
    for (const listener of this.listeners) listener();
  };

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

function restore<T>(key: string): T | null {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? 'null') as T | null;
  } catch {
    return null;
  }
}

// A browser may refuse storage (private windows, quota): the page then only forgets on reload.
function keep(key: string, value: unknown): void {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    /* see above */
  }
}
