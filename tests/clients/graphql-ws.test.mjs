// graphql-ws alone: every operation goes over one socket, the queries too.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import * as documents from './documents.mjs';
import { tells } from './story.mjs';
import { plain } from './results.mjs';

tells({
  name: 'graphql-ws',
  lives: { expiry: true },
  open({ streamUrl, session }) {
    const closes = [];
    const client = createClient({
      url: streamUrl.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      // Asked for at each connection, so that the one after an expiry carries a new token.
      connectionParams: () => session?.authorization(),
      on: { closed: ({ code }) => closes.push(code) },
    });
    const iterate = (name, variables) => client.iterate({ query: documents[name], variables });
    return {
      closes,
      async run(name, variables) {
        try {
          for await (const result of iterate(name, variables)) return plain(result);
        } catch (errors) {
          return plain({ errors });
        }
      },
      async *watch(variables) {
        for await (const { data, errors } of iterate('MessageStream', variables)) {
          if (errors) throw new Error(JSON.stringify(errors));
          yield data.messageStream;
        }
      },
      close: () => client.dispose(),
    };
  },
});
