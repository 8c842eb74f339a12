// Compiles the documents for Relay with the compiler it ships, against a schema file.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as documents from './documents.mjs';

const require = createRequire(import.meta.url);
const home = fileURLToPath(new URL('.', import.meta.url));
const work = join(home, 'generated/relay');

// Returns what gives the compiled artifact of an operation by its name.
export function compile(schema) {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, 'src'), { recursive: true });
  mkdirSync(join(work, 'artifacts'));
  cpSync(join(home, 'relay'), join(work, 'src'), { recursive: true });
  cpSync(resolve(home, schema), join(work, 'schema.graphql'));
  writeFileSync(join(work, 'src/story.js'), storyModule());
  writeFileSync(join(work, 'artifacts/package.json'), '{ "type": "commonjs" }');
  writeFileSync(join(work, 'relay.config.json'), JSON.stringify({
    src: 'src',
    schema: 'schema.graphql',
    language: 'javascript',
    artifactDirectory: 'artifacts',
    eagerEsModules: false,
  }));
  const output = execFileSync(process.execPath, [require.resolve('relay-compiler/cli.js'), '--repersist', 'relay.config.json'], {
    cwd: work,
    encoding: 'utf8',
  });
  return { output, artifact: (name) => require(join(work, 'artifacts', `${name}.graphql.js`)) };
}

// Relay wants the name of the module in front of an operation's name and its kind behind.
export function storyName(name) {
  const kind = /^\w+/.exec(documents[name])[0];
  return `story${name}${kind[0].toUpperCase()}${kind.slice(1)}`;
}

function storyModule() {
  const tags = Object.entries(documents).map(([name, text]) => {
    const renamed = text.replace(/^(\w+) \w+/, `$1 ${storyName(name)}`);
    return `graphql\`${renamed}\`;`;
  });
  return `import { graphql } from 'relay-runtime';\n${tags.join('\n')}\n`;
}
