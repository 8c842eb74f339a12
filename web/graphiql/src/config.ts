/** What the server tells this page about itself. */
export interface Config {
  /** Present only under `--dev`. */
  demo: { email: string; password: string } | null;
}

export async function loadConfig(): Promise<Config> {
  try {
    const response = await fetch('/graphiql/config.json');
    if (response.ok) return (await response.json()) as Config;
  } catch {
    /* the page is useful without it */
  }
  return { demo: null };
}
