// A wire between a client and the server that can be cut as a dead network cuts it: both ends get a reset, nobody says
// goodbye, and the port stays open for who comes back.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export async function openLine(server) {
  const { hostname, port } = new URL(server);
  const ends = new Set();
  let connections = 0;
  const listener = createServer((near) => {
    connections += 1;
    const far = connect({ host: hostname, port: Number(port) });
    for (const [end, other] of [[near, far], [far, near]]) {
      ends.add(end);
      end.setNoDelay(true);
      end.on('error', () => {});
      end.on('close', () => {
        ends.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const cut = () => {
    const open = [...ends];
    open.forEach((end) => end.resetAndDestroy());
    return open.length / 2;
  };
  return {
    url: `http://127.0.0.1:${listener.address().port}/graphql`,
    // Ends every connection there is, and says how many.
    cut,
    // How many there have been.
    get connections() {
      return connections;
    },
    close() {
      cut();
      listener.close();
    },
  };
}
