// pg-boss as its documents advise for a large queue (https://pgboss.io/api/queues and https://pgboss.io/api/workers):
// a table of the queue's own (`partition`), batches, several workers (`localConcurrency`), and no wait between them as
// long as they are full (`burstWhenBatchFull`). A batch is fetched by one statement and completed by one. 4 workers by
// 1000 jobs did as well here as any other numbers. The jobs do nothing but read their args.
//
// It keeps completed jobs for a week, in the table that it fetches from.

import { PgBoss } from "pg-boss";

import { measure } from "./measure.js";

const schema = "gristmill_peer_pg_boss";
const queue = "bench_count";
const settings = {
  workers: 4,
  batch_size: 1000,
  partition: true,
  burst_when_batch_full: true,
  polling_interval_s: 0.5,
};

async function setUp(db) {
  const boss = new PgBoss({ connectionString: db, schema });
  boss.on("error", console.error);
  await boss.start();
  await boss.createQueue(queue, { partition: settings.partition });
  return {
    enqueue: (batch) => boss.insert(queue, batch.map((data) => ({ data }))),
    async start(saw) {
      const options = {
        localConcurrency: settings.workers,
        batchSize: settings.batch_size,
        burstWhenBatchFull: settings.burst_when_batch_full,
        pollingIntervalSeconds: settings.polling_interval_s,
      };
      await boss.work(queue, options, async (jobs) => jobs.forEach(({ data }) => saw(data.number)));
    },
    stop: () => boss.stop(),
  };
}

const left = `SELECT EXISTS (SELECT FROM ${schema}.job WHERE name = '${queue}' AND state <> 'completed') AS left`;
await measure({ name: "pg-boss", schema, settings, left, setUp });
