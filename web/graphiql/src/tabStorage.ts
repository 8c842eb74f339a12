/**
 * Where GraphiQL keeps its state. It stores the tabs and, beside them, the texts of the editors, all of them
 * late and apart; a reload in between would open a second copy of a tab. Here the tabs alone are true.
 */

const TABS = 'graphiql:tabState';
const EDITORS: Record<string, 'query' | 'variables'> = {
  'graphiql:query': 'query',
  'graphiql:variables': 'variables',
};

export const tabStorage = {
  getItem: (key: string): string | null => {
    const editor = EDITORS[key];
    return editor ? (activeTab()[editor] ?? null) : localStorage.getItem(key);
  },
  setItem: (key: string, value: string): void => {
    if (!EDITORS[key]) localStorage.setItem(key, value);
  },
  removeItem: (key: string): void => localStorage.removeItem(key),
  clear: (): void => ownKeys().forEach((key) => localStorage.removeItem(key)),
  get length(): number {
    return ownKeys().length;
  },
};

function ownKeys(): string[] {
  return Object.keys(localStorage).filter((key) => key.startsWith('graphiql:'));
}

function activeTab(): { query?: string | null; variables?: string | null } {
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem(TABS) ?? '');
    return tabs[activeTabIndex] ?? {};
  } catch {
    return {};
  }
}
