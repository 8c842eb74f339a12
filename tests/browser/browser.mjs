// A Chromium that finds no host but this machine.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

// A page of somebody else for the browser; served by the tests themselves.
export const FOREIGN_HOST = 'foreign.test';

// Without a Chromium this says so and ends the process with success.
export async function launch() {
  const executablePath = [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ].find((path) => path && existsSync(path));
  if (!executablePath) {
    console.log('SKIPPED: no chromium');
    process.exit(0);
  }
  return chromium.launch({
    executablePath,
    args: [
      `--host-resolver-rules=MAP ${FOREIGN_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
