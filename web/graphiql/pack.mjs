// Packs dist/ into assets/graphiql, brotli-compressed, or with --check compares the two.
// Contents are compared, not archives: another Node may compress the same bytes differently.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';

const here = import.meta.dirname;
const dist = join(here, 'dist');
const packed = join(here, '../../assets/graphiql');
// Stays readable in the repository.
const PLAIN = 'LICENSES.txt';

function filesIn(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .sort();
}

function pack() {
  rmSync(packed, { recursive: true, force: true });
  let total = 0;
  for (const path of filesIn(dist)) {
    const name = relative(dist, path);
    const content = readFileSync(path);
    const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
    const target = join(packed, name === PLAIN ? name : `${name}.br`);
    const bytes = name === PLAIN ? content : brotliCompressSync(content, { params });
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, bytes);
    total += bytes.length;
  }
  console.log(`graphiql packed: ${(total / 1e6).toFixed(2)} MB`);
}

function hashes(folder, read) {
  return new Map(
    filesIn(folder).map((path) => {
      const { name, content } = read(relative(folder, path), readFileSync(path));
      return [name, createHash('sha256').update(content).digest('hex')];
    }),
  );
}

function check() {
  const built = hashes(dist, (name, content) => ({ name, content }));
  const committed = hashes(packed, (name, content) =>
    name.endsWith('.br') ? { name: name.slice(0, -3), content: brotliDecompressSync(content) } : { name, content },
  );
  const names = [...new Set([...built.keys(), ...committed.keys()])].sort();
  const different = names.filter((name) => built.get(name) !== committed.get(name));
  for (const name of different) console.error(`differs: ${name}`);
  if (different.length > 0) process.exit(1);
  console.log(`graphiql check n=${names.length} ok`);
}

process.argv.includes('--check') ? check() : pack();
