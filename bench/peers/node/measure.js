// What the peers have in common: their options, the jobs, the account of them, and the line of JSON that is printed,
// with the members of `gristmill bench --json`.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import pg from "pg";

const PATIENCE_MS = 600_000;

// Counts every job by its number.
class Account {
  #runs;
  seen = 0;

  // Expects the jobs 0 to `jobs` - 1.
  constructor(jobs) {
    this.#runs = new Uint32Array(jobs);
  }

  // Notes that job `number` ran.
  saw(number) {
    if (this.#runs[number]++ === 0) this.seen += 1;
  }

  // Jobs that never ran.
  get lost() {
    return this.#runs.length - this.seen;
  }

  // Jobs that ran more than once.
  get duplicated() {
    return this.#runs.reduce((count, runs) => count + (runs > 1), 0);
  }
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      // The database; a schema is made anew in it and dropped afterwards.
      db: { type: "string" },
      jobs: { type: "string", default: "200000" },
      // Jobs in one bulk enqueue.
      batch: { type: "string", default: "1000" },
      // Length of a job's args in bytes.
      "args-bytes": { type: "string", default: "100" },
      // Accepted so that every program of the benchmark is called alike; JSON is all these print.
      json: { type: "boolean" },
    },
  });
  const [jobs, batch, argsBytes] = [values.jobs, values.batch, values["args-bytes"]].map(Number);
  if (!values.db || !(jobs >= 1) || !(batch >= 1) || !(argsBytes >= 0)) {
    throw new Error("--db names the database, --jobs and --batch begin at 1");
  }
  return { db: values.db, jobs, batch, argsBytes };
}

// The args of the jobs, as in the floors, in batches.
function* batches({ jobs, batch, argsBytes }) {
  const args = (number) => {
    const emptyBytes = JSON.stringify({ number, filler: "" }).length;
    return { number, filler: "x".repeat(Math.max(0, argsBytes - emptyBytes)) };
  };
  for (let first = 0; first < jobs; first += batch) {
    yield Array.from({ length: Math.min(batch, jobs - first) }, (_, i) => args(first + i));
  }
}

// Waits until every job has run, and then until `left`, a query of one boolean, says that none is left to do: a run
// counts once its end is stored.
async function untilStored(pool, account, jobs, left) {
  const deadline = performance.now() + PATIENCE_MS;
  const wait = async (complaint) => {
    if (performance.now() > deadline) throw new Error(complaint);
    await sleep(1);
  };
  while (account.seen < jobs) await wait(`${account.seen} of ${jobs} jobs ran`);
  while ((await pool.query(left)).rows[0].left) await wait("jobs that ran are not stored as done");
}

async function seconds(work) {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

// Measures one peer: `{ name, schema, left, settings, setUp }`, where `setUp(db)` yields `{ enqueue(batch), start(saw),
// stop() }`.
export async function measure(peer) {
  const options = readOptions();
  const pool = new pg.Pool({ connectionString: options.db, max: 1 });
  await pool.query(`DROP SCHEMA IF EXISTS ${peer.schema} CASCADE`);
  const system = await peer.setUp(options.db);
  const enqueued = await seconds(async () => {
    for (const batch of batches(options)) await system.enqueue(batch);
  });
  const account = new Account(options.jobs);
  const drained = await seconds(async () => {
    await system.start((number) => account.saw(number));
    await untilStored(pool, account, options.jobs, peer.left);
  });
  await system.stop();
  await pool.query(`DROP SCHEMA ${peer.schema} CASCADE`);
  await pool.end();

  const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
  const line = {
    system: peer.name,
    version: manifest.dependencies[peer.name],
    backend: "postgres",
    mode: "drain",
    settings: { ...peer.settings, batch: options.batch, node: process.versions.node },
    jobs: options.jobs,
    args_bytes: options.argsBytes,
    enqueue_per_s: options.jobs / enqueued,
    drain_per_s: options.jobs / drained,
    lost: account.lost,
    duplicated: account.duplicated,
  };
  console.log(JSON.stringify(line));
}
