// Jobs that commit with a user, in pg, as a role that may only produce: node outbox.js [URL]

import pg from "pg";

// Stores a job in the transaction; gives its id, or that of the job which holds its unique key. JSON is written here:
// pg would make a PostgreSQL array of an array.
async function enqueue(client, kind, args, options = {}) {
  const text = "SELECT gristmill.enqueue($1, $2, $3) AS id";
  const { rows } = await client.query(text, [kind, JSON.stringify(args), JSON.stringify(options)]);
  return rows[0].id;
}

// Stores a user in the transaction; gives the args of its jobs. pg gives a bigint as text, which may be larger than
// a number can be.
async function addUser(client, email) {
  const { rows } = await client.query("INSERT INTO users (email) VALUES ($1) RETURNING id", [email]);
  return { user_id: Number(rows[0].id), email };
}

async function transaction(client, work) {
  await client.query("BEGIN");
  try {
    await work();
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

const connectionString = process.argv[2] ?? process.env.DATABASE_URL;
const client = new pg.Client({ connectionString, connectionTimeoutMillis: 30_000 });
await client.connect();
try {
  // Rolled back: neither the user nor the job.
  await client.query("BEGIN");
  const gone = await enqueue(client, "email.welcome", await addUser(client, "nobody@example.org"));
  await client.query("ROLLBACK");
  console.log("rolled back:", gone);

  // Committed: both. What users type is passed as a parameter, so it can be anything.
  await transaction(client, async () => {
    const args = await addUser(client, `o'hara"\\$1@example.org`);
    console.log("committed:", await enqueue(client, "email.welcome", args));
  });

  // The same unique key twice: one job, and the transaction commits.
  await transaction(client, async () => {
    const args = await addUser(client, "twice@example.org");
    const options = { unique_key: `welcome:${args.user_id}` };
    const first = await enqueue(client, "email.welcome", args, options);
    console.log("once:", first, await enqueue(client, "email.welcome", args, options));
  });

  // An option that is refused is an error that names it. In a savepoint the rest of the transaction stays.
  await transaction(client, async () => {
    const args = await addUser(client, "refused@example.org");
    await client.query("SAVEPOINT job");
    try {
      await enqueue(client, "email.welcome", args, { retries: 3 });
    } catch (error) {
      if (error.code !== "22023") throw error;
      await client.query("ROLLBACK TO SAVEPOINT job");
      console.log("refused:", error.message);
      console.log("hint:", error.hint);
    }
    console.log("stored:", await enqueue(client, "email.welcome", args, { max_attempts: 3, tags: ["eu"] }));
  });
} finally {
  await client.end();
}
