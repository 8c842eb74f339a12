import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Plugin } from 'vite';

// Shared by the page's build and those of its workers, which end first.
const packages = new Set<string>();

/** Remembers every package a build read. */
export function collectPackages(): Plugin {
  return {
    name: 'collect-packages',
    buildEnd() {
      for (const id of this.getModuleIds()) {
        const root = packageRoot(id);
        if (root) packages.add(root);
      }
    },
  };
}

/** Writes LICENSES.txt: name, version, licence and notices of every remembered package. */
export function writeLicences(): Plugin {
  return {
    name: 'write-licences',
    generateBundle() {
      const entries = [...packages].map(describe);
      const source = [...new Set(entries)].sort().join('\n' + '='.repeat(80) + '\n');
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source });
    },
  };
}

function packageRoot(id: string): string | null {
  const path = id.replace(/^\0/, '').split('?')[0] ?? '';
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? null;
}

function describe(root: string): string {
  const { name, version, license, repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const source = typeof repository === 'string' ? repository : (repository?.url ?? '');
  const texts = noticesIn(root).map((file) => readFileSync(file, 'utf8').replaceAll('\r', '').trim());
  return [`${name} ${version}\nLicence: ${license}\n${source}`, ...texts].join('\n\n') + '\n';
}

/** Packages of one repository often leave the text to a sibling that is installed too. */
function noticesIn(root: string): string[] {
  if (!existsSync(root)) return [];
  const isNotice = (file: string) => /^(licen[cs]e|copying|notice|third-?party)/i.test(file);
  const own = readdirSync(root).filter(isNotice).sort();
  if (own.length > 0) return own.map((file) => join(root, file));
  const scope = dirname(root);
  return scope.includes('@graphiql') ? noticesIn(join(scope, '..', 'graphiql')) : [];
}
