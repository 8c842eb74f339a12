import 'graphiql/setup-workers/vite';
// Not `graphiql/style.css`: it repeats Monaco's styles and carries fonts; the page uses the system's.
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import '@graphiql/plugin-explorer/style.css';
import './style.css';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { loadConfig } from './config';

const root = document.getElementById('root');
if (root) loadConfig().then((config) => createRoot(root).render(<App config={config} />));
