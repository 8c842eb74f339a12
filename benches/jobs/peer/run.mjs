// Empty jobs by graphile-worker: `node run.mjs URL COUNT CONCURRENCY [batched]`. Prints how long they took. Batched, it
// takes many jobs at once into a local queue and writes ends together; otherwise it does as it comes.
import pg from "pg";
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const [connectionString, count, concurrency, mode] = process.argv.slice(2);
const batched = { localQueue: { size: 4 * Number(concurrency) }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const pgPool = new pg.Pool({ connectionString, max: Number(concurrency) + 2 });
const logger = new Logger(() => () => {});
const utils = await makeWorkerUtils({ pgPool, logger });
await utils.migrate();
await utils.withPgClient((client) =>
  client.query(
    "SELECT graphile_worker.add_job('empty', json_build_object('n', n)) FROM generate_series(1, $1::int) n",
    [count],
  ),
);

let left = Number(count);
let finish;
const finished = new Promise((resolve) => (finish = resolve));
const started = process.hrtime.bigint();
const runner = await run({
  preset: { worker: mode === "batched" ? batched : {} },
  pgPool,
  logger,
  concurrency: Number(concurrency),
  pollInterval: 1000,
  noHandleSignals: true,
  taskList: {
    empty: () => {
      if (--left === 0) finish();
    },
  },
});
await finished;
// Not before the last one is off the books.
for (;;) {
  const { rows } = await pgPool.query("SELECT count(*)::int AS left FROM graphile_worker._private_jobs");
  if (rows[0].left === 0) break;
}
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
await runner.stop();
await utils.release();
await pgPool.end();
console.log(JSON.stringify({ seconds }));
