import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { GraphiQL } from 'graphiql';
import { useEffect } from 'react';
import type { Config } from './config';
import { fetcher } from './fetcher';
import { LiveReply } from './LiveReply';
import { reloadProfile } from './session';
import { SessionBar } from './SessionBar';
import { DEFAULT_TABS } from './tabs';
import { tabStorage } from './tabStorage';

const plugins = [HISTORY_PLUGIN, explorerPlugin()];

export function App({ config }: { config: Config }) {
  // A reload keeps the tokens; who they belong to is asked again.
  useEffect(() => void reloadProfile(), []);
  return (
    <>
      <SessionBar demo={config.demo} />
      <main className="explorer">
        <GraphiQL
          fetcher={fetcher}
          plugins={plugins}
          defaultTabs={DEFAULT_TABS}
          storage={tabStorage}
          defaultEditorToolsVisibility="variables"
          showPersistHeadersSettings={false}
        >
          <GraphiQL.Logo>
            <></>
          </GraphiQL.Logo>
          <GraphiQL.Footer>
            <LiveReply />
          </GraphiQL.Footer>
        </GraphiQL>
      </main>
    </>
  );
}
