// graphile-worker at the settings of its own performance test (https://worker.graphile.org/docs/performance and
// `perfTest/graphile.config.js` of its repository): 24 jobs at once, a local queue of 500 that is filled again after at
// most 10 ms, completions collected for one turn of the event loop. The jobs do nothing but read their args.
//
// It deletes jobs as they complete and keeps no history.

import { Logger, makeWorkerUtils, run } from "graphile-worker";

import { measure } from "./measure.js";

const schema = "gristmill_peer_graphile_worker_node";
const settings = { concurrency: 24, local_queue: 500, refetch_delay_ms: 10, complete_job_batch_delay_ms: 0 };

async function setUp(db) {
  const preset = {
    worker: {
      connectionString: db,
      schema,
      concurrentJobs: settings.concurrency,
      maxPoolSize: settings.concurrency + 1,
      localQueue: { size: settings.local_queue, refetchDelay: { durationMs: settings.refetch_delay_ms } },
      completeJobBatchDelay: settings.complete_job_batch_delay_ms,
      failJobBatchDelay: settings.complete_job_batch_delay_ms,
      // Else it writes a line for each job.
      logger: new Logger(() => (level, message) => level === "error" && console.error(message)),
    },
  };
  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  let runner;
  return {
    enqueue: (batch) => utils.addJobs(batch.map((args) => ({ identifier: "bench_count", payload: args }))),
    async start(saw) {
      await utils.release();
      runner = await run({ preset, taskList: { bench_count: ({ number }) => saw(number) }, noHandleSignals: true });
    },
    stop: () => runner.stop(),
  };
}

const left = `SELECT EXISTS (SELECT FROM ${schema}._private_jobs) AS left`;
await measure({ name: "graphile-worker", schema, settings, left, setUp });
