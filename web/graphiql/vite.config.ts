import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { collectPackages, writeLicences } from './licences.ts';

// For `npm run dev`, run `loquent serve --dev` beside it.
const server = 'http://127.0.0.1:3000';

export default defineConfig({
  // Where the server mounts the page.
  base: '/graphiql/',
  plugins: [react(), collectPackages(), writeLicences()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 5000,
    rolldownOptions: {
      // Directives to a compiler that already ran on these packages.
      onwarn: (warning, warn) => warning.code === 'MODULE_LEVEL_DIRECTIVE' || warn(warning),
    },
  },
  worker: { format: 'es', plugins: () => [collectPackages()] },
  server: {
    proxy: { '/graphql': { target: server, ws: true }, '/graphiql/config.json': server },
  },
});
