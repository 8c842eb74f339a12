// graphql-sse in the mode of distinct connections: each operation is a response of its own, the queries too.
import { createClient } from 'graphql-sse';
import * as documents from './documents.mjs';
import { plain } from './results.mjs';
import { tells } from './story.mjs';

tells({
  name: 'graphql-sse',
  lives: { expiry: true },
  open({ streamUrl, session }) {
    const common = {
      url: streamUrl,
      // Asked for at each connection, so that the one after an expiry carries a new token.
      headers: async () => (await session?.authorization()) ?? {},
    };
    const client = createClient(common);
    // The library takes every status but 2xx for the network's fault and tries again. For one answer that makes no sense.
    const once = createClient({ ...common, retryAttempts: 0 });
    return {
      async run(name, variables) {
        try {
          for await (const result of once.iterate({ query: documents[name], variables })) return plain(result);
        } catch (error) {
          if (!error.response) throw error;
          return plain(await error.response.json());
        }
      },
      async *watch(variables) {
        for await (const { data, errors } of client.iterate({ query: documents.MessageStream, variables })) {
          if (errors) throw new Error(JSON.stringify(errors));
          yield data.messageStream;
        }
      },
      close() {
        client.dispose();
        once.dispose();
      },
    };
  },
});
