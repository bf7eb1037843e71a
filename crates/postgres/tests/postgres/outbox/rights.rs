//! Who may call what, and what stands in front of it.

use gristmill_core::{Backend, Call, JobFilter, MigrateMode};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::requests::{apply, of, request};
use super::{Caller, about, listing, storing};
use crate::fixture::{Schema, count, fetch, register, runtime};

/// A role of the shared server; a migrated schema in a database of its own, and a connection of the role's.
struct Producer {
    url: String,
    schema: String,
    owner: Caller,
    caller: Caller,
}

impl Producer {
    fn new() -> Self {
        let url = Server::shared().fresh_database();
        let schema = Server::shared().fresh_schema_name();
        let role = format!("producer_{schema}");
        block_on(open(&url, &schema).migrate(Call::new(), MigrateMode::Up)).expect("it is migrated");
        let owner = Caller::at(&url, &schema);
        owner.run(&format!("CREATE ROLE {role} LOGIN; {}", granted(&role, &schema)));
        let place = url.split_once('@').expect("it names a role").1;
        let caller = Caller::at(&format!("postgres://{role}@{place}"), &schema);
        Self { url, schema, owner, caller }
    }
}

fn open(url: &str, schema: &str) -> Postgres {
    let _runtime = runtime().enter();
    let builder = Postgres::builder(url).expect("the URL parses").schema(schema);
    builder.connections(9).handler_connections(2).open().expect("the settings hold")
}

/// The rights of a role that only produces, as the comments of the schema's statements list them.
fn granted(role: &str, schema: &str) -> String {
    let text = Postgres::schema_sql(schema);
    let grants: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
    let grants: Vec<&str> = grants.into_iter().filter(|line| line.contains(" TO producer;")).collect();
    assert!(grants.len() > 1, "{text}");
    grants.join("\n").replace(" TO producer;", &format!(" TO {role};"))
}

#[test]
fn a_role_that_only_produces_needs_the_functions_alone_and_reads_and_drops_nothing() {
    let producer = Producer::new();
    let (backend, caller) = (open(&producer.url, &producer.schema), &producer.caller);
    let schema = Schema::new();
    let jobs = [schema.job(), schema.job()];
    caller.ask("enqueue", &storing(&jobs[..1]));
    caller.ask("enqueue", &storing(&jobs));
    request(caller, "update", &[jobs[0].id], r#","patch":{"priority":1}"#);
    request(caller, "cancel", &[jobs[1].id], "");
    assert_eq!(apply(&backend), 2);
    assert_eq!(caller.ask("get", &about(&[jobs[1].id], ""))["jobs"][0]["state"], "cancelled");
    assert_eq!(caller.ask("list", &listing(r#","limit":1"#))["jobs"][0]["id"], jobs[1].id.to_string());
    caller.run("SELECT {schema}.enqueue('work', '{}', '{\"queue\":\"line\",\"unique_key\":\"k\"}')");
    let ahead = storing(&jobs[..1]).replace(&jobs[0].id.to_string(), "ffffffff-ffff-7fff-bfff-ffffffffffff");
    assert_eq!(caller.try_ask("enqueue", &ahead).expect_err("it is in no partition").code, "22023");
    assert_eq!(count(&backend, JobFilter::new()), 3);
    assert_eq!(fetch(&backend, register(&backend), 1, 10).len(), 2);

    let tables = producer.owner.value("SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p')");
    assert!(tables.lines().count() > 15, "{tables}");
    for table in tables.lines() {
        for statement in ["SELECT FROM", "DELETE FROM", "TRUNCATE", "DROP TABLE", "ALTER TABLE"] {
            let more = if statement == "ALTER TABLE" { "ADD COLUMN mine int" } else { "" };
            let error = caller.try_run(&format!("{statement} {{schema}}.{table} {more}")).expect_err(table);
            assert_eq!(error.code, "42501", "{table}: {error:?}");
        }
    }
    let functions = producer.owner.value(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace \
        AND proname NOT IN ('outbox_enqueue', 'outbox_request', 'outbox_get', 'outbox_list', 'enqueue') ORDER BY 1",
    );
    assert!(functions.contains("drop_partition") && functions.contains("outbox_store"), "{functions}");
    for function in functions.lines() {
        let may = producer.owner.value(&format!(
            "SELECT has_function_privilege('producer_{}', '{function}', 'EXECUTE')",
            producer.schema
        ));
        assert_eq!(may, "f", "{function}");
    }
    let error = caller.try_run("SELECT {schema}.drop_partition(0, 0)").expect_err("it may not");
    assert_eq!(error.code, "42501");
}

#[test]
fn no_function_of_the_schema_may_be_called_by_everybody() {
    let schema = Schema::new();
    let open = schema.psql(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace \
        AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))",
    );
    assert_eq!(open.trim(), "");
}

/// Every function that other roles call and that runs with the owner's rights sets its search path. The
/// exception names the schema of everything instead; see the next test.
#[test]
fn whatever_runs_with_the_owners_rights_sets_its_search_path() {
    let schema = Schema::new();
    let without = schema.psql(
        "SELECT proname FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace AND prosecdef \
        AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)",
    );
    assert_eq!(without.trim(), "outbox_enqueue");
}

/// Everything an attacker can put in front of the server's own: functions, operators, types and tables of the
/// same names, that note who runs them.
fn traps(caller: &Caller) -> String {
    let functions = "SELECT string_agg(format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L;', proname, \
        (SELECT string_agg(CASE WHEN provariadic <> 0 AND place = pronargs THEN 'VARIADIC ' ELSE '' END || type::regtype, ', ' \
            ORDER BY place) FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS t (type, place)), prorettype::regtype, \
        'BEGIN RAISE EXCEPTION ''trapped''; END'), ' ') \
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset AND NOT 2276 = ANY (proargtypes) AND proname IN \
        ('floor', 'date_part', 'clock_timestamp', 'jsonb_array_length', 'jsonb_typeof', 'octet_length', 'convert_to', 'replace', \
         'format', 'lower', 'encode', 'decode', 'cardinality', 'array_fill', 'json_typeof', 'made_at', 'pg_notify', 'int8', 'int4', 'strpos', 'to_hex', 'lpad', 'rpad', 'concat')";
    let operators = "SELECT string_agg(format('CREATE FUNCTION trap.op%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L; \
        CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.op%s);', oid, oprleft::regtype, oprright::regtype, \
        oprresult::regtype, 'BEGIN RAISE EXCEPTION ''trapped''; END', oprname, oprleft::regtype, oprright::regtype, oid), ' ') \
        FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b' AND oprname IN \
        ('=', '<>', '>', '>=', '<', '<=', '->', '->>', '#>', '-', '+', '*', '~', '!~', '||', '?', '@?') AND oprleft::regtype::text IN \
        ('jsonb', 'text', 'integer', 'bigint', 'double precision', 'numeric', 'uuid', 'smallint', 'json') \
        AND oprright::regtype::text NOT LIKE '%\"%'";
    format!("{}\n{}", caller.value(functions), caller.value(operators))
}

#[test]
fn what_an_attacker_puts_in_front_of_the_server_is_not_called() {
    let producer = Producer::new();
    let (backend, caller) = (open(&producer.url, &producer.schema), &producer.caller);
    let traps = traps(&producer.owner);
    assert!(traps.matches("CREATE OPERATOR").count() > 100 && traps.matches("trap.floor").count() > 0);
    producer.owner.run(&format!(
        "CREATE SCHEMA trap; {traps}
        CREATE TABLE trap.jobs (x int); CREATE TABLE trap.queues (x int); CREATE TABLE trap.migrations (version int);
        CREATE FUNCTION trap.enqueue(text) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
        CREATE DOMAIN trap.uuid AS text; CREATE DOMAIN trap.text AS pg_catalog.text; CREATE DOMAIN trap.jsonb AS pg_catalog.text;
        CREATE DOMAIN trap.json AS pg_catalog.text; CREATE DOMAIN trap.int4 AS pg_catalog.text; CREATE DOMAIN trap.int8 AS pg_catalog.text;
        GRANT USAGE ON SCHEMA trap TO PUBLIC"
    ));
    caller.run("SET search_path = trap, pg_catalog, pg_temp; CREATE TEMP TABLE jobs (x int)");
    let error = caller.try_value("SELECT floor(1.5::pg_catalog.float8)").expect_err("the trap is laid");
    assert!(error.message.contains("trapped"), "{error:?}");
    let error =
        caller.try_value("SELECT 1::pg_catalog.int8 > 2::pg_catalog.int8").expect_err("the trap is laid");
    assert!(error.message.contains("trapped"), "{error:?}");

    let schema = Schema::new();
    let mut jobs: Vec<_> = (0..4).map(|_| schema.job()).collect();
    jobs[3].spec.unique_key = Some(gristmill_core::UniqueKey::new("k").expect("it is a key"));
    let request = |jobs: &[gristmill_core::NewJob]| storing(jobs);
    // By the statement that adapters send.
    let ask = |verb: &str, request: &str| caller.ask(verb, request).to_string();
    // Plans are made anew for a while and then kept.
    for job in &jobs {
        assert!(ask("enqueue", &request(std::slice::from_ref(job))).contains("created"));
    }
    for _ in 0..10 {
        assert!(ask("enqueue", &request(&[schema.job()])).contains("created"));
    }
    assert!(ask("enqueue", &request(&jobs)).contains("existing"));
    let patch = r#","patch":{"priority":1,"delay_ms":5000}"#;
    assert!(ask("request", &of("update", &[jobs[0].id], patch)).contains("requests"));
    assert!(ask("request", &of("cancel", &[jobs[1].id], "")).contains("requests"));
    assert!(ask("list", &listing(r#","state":"available","limit":100"#)).contains(&jobs[1].id.to_string()));
    apply(&backend);
    assert!(ask("get", &about(&[jobs[1].id], "")).contains("cancelled"));
    caller.value("SELECT {schema}.enqueue('work'::pg_catalog.text, '{\"x\":1}'::pg_catalog.jsonb, '{\"queue\":\"line\",\"tags\":[\"a\"]}'::pg_catalog.jsonb)");
    assert_eq!(count(&backend, JobFilter::new()), 15);
}

#[test]
fn two_schemas_of_a_database_do_not_mix_whatever_their_names() {
    let url = Server::shared().fresh_database();
    let odd = ["a'b;--", "a\"b$gristmill_channel$", "Gristmill"];
    for schema in odd {
        block_on(open(&url, schema).migrate(Call::new(), MigrateMode::Up)).expect("it is migrated");
    }
    let jobs = Schema::new();
    for (place, schema) in odd.iter().enumerate() {
        let caller = Caller::at(&url, schema);
        for _ in 0..=place {
            caller.ask("enqueue", &storing(&[jobs.job()]));
        }
        caller.run("SELECT {schema}.enqueue('work', '{}', '{\"queue\":\"line\"}')");
    }
    for (place, schema) in odd.iter().enumerate() {
        let backend = open(&url, schema);
        assert_eq!(count(&backend, JobFilter::new()), place as u64 + 2, "{schema}");
        assert_eq!(fetch(&backend, register(&backend), 1, 10).len(), place + 2, "{schema}");
    }
}
