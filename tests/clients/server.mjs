// A server that a test may stop and start again, with a database of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export function house() {
  const home = mkdtempSync(join(tmpdir(), 'loquent-clients-'));
  chmodSync(home, 0o755); // Run by root, the database has a user of its own, who must get in.
  return { home, remove: () => rmSync(home, { recursive: true, force: true }) };
}

// Ready when this resolves. `port` 0 takes a free one.
export async function start(home, port = 0) {
  const env = { ...process.env, LOQUENT_DATA_DIR: join(home, 'data') };
  delete env.DATABASE_URL;
  const child = spawn(process.env.LOQUENT, ['serve', '--dev', '--port', String(port)], {
    cwd: home,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const url = await address(child.stdout);
  return {
    url,
    port: Number(new URL(url).port),
    // Asks it to stop, as a deployment does, and waits until it has.
    async stop() {
      if (child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

async function address(stdout) {
  for await (const line of createInterface({ input: stdout })) {
    const found = /GraphQL\s+(http:\S+\/graphql)/.exec(line);
    if (found) {
      stdout.resume();
      return found[1];
    }
  }
  throw new Error('the server ended before it was ready');
}
