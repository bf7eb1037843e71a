//! A web server and a worker in one process; the README shows parts of it, which a test compares.
//!
//! Needs a server with the schema (`gristmill migrate`) and a table `users`: `CREATE TABLE users (id bigint
//! GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL)`. Sign up with `curl --data ada@example.org
//! http://127.0.0.1:3000/users`.

use anyhow::Context as _;
use axum::{Router, extract::State, http::StatusCode, routing::post};
use gristmill::{CancellationToken, Client, Job, Postgres, Worker};
use gristmill_outbox_sqlx::{Outbox, Within as _, commit};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "email.welcome", queue = "mail", max_attempts = 8, timeout = "30s")]
struct Welcome {
    user_id: i64,
}

#[derive(Clone)]
struct App {
    pool: PgPool,
    outbox: Outbox,
}

/// Stores the user and the job in one transaction.
async fn add_user(app: &App, email: &str) -> anyhow::Result<()> {
    let mut tx = app.pool.begin().await?;
    let insert = "INSERT INTO users (email) VALUES ($1) RETURNING id";
    let user_id = sqlx::query_scalar(insert).bind(email).fetch_one(&mut *tx).await?;
    app.outbox.within(&mut tx).enqueue(Welcome { user_id }).await?;
    commit(tx).await?;
    Ok(())
}

async fn sign_up(State(app): State<App>, email: String) -> StatusCode {
    match add_user(&app, &email).await {
        Ok(()) => StatusCode::CREATED,
        Err(error) => {
            tracing::error!("sign-up failed: {error:#}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

async fn welcome(job: Welcome, gristmill::State(pool): gristmill::State<PgPool>) -> anyhow::Result<()> {
    let select = "SELECT email FROM users WHERE id = $1";
    let email: String = sqlx::query_scalar(select).bind(job.user_id).fetch_one(&pool).await?;
    tracing::info!("dear {email}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let pool = PgPool::connect(&url).await?;
    let client = Client::new(Postgres::builder(&url)?.open()?);
    let worker = Worker::builder(client).state(pool.clone()).queue("mail", 20).handle(welcome).build()?;
    let app = App { pool, outbox: Outbox::postgres() };
    let router = Router::new().route("/users", post(sign_up)).with_state(app);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;

    // SIGTERM comes from systemd, Docker and Kubernetes, SIGINT from Ctrl-C.
    let mut sigterm = signal(SignalKind::terminate())?;
    let mut sigint = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = sigterm.recv() => stop.cancel(),
            _ = sigint.recv() => stop.cancel(),
        }
    });

    // If one of the two ends early, the other stops as well.
    let serve = async {
        let stopping = shutdown.clone().cancelled_owned();
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping).await;
        shutdown.cancel();
        served
    };
    let work = async {
        let worked = worker.run_until(shutdown.cancelled()).await;
        shutdown.cancel();
        worked
    };
    let (served, worked) = tokio::join!(serve, work);
    served?;
    worked?;
    Ok(())
}
