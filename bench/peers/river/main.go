// Command river measures River at the settings of its own benchmark: 2,000 workers and the shortest fetch cooldown. The
// jobs do nothing but decode their args. What is printed is a line of JSON with the members of `gristmill bench --json`.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	module            = "github.com/riverqueue/river"
	schema            = "gristmill_peer_river"
	workers           = 2000
	fetchCooldown     = time.Millisecond
	fetchPollInterval = 20 * time.Millisecond
	patience          = 10 * time.Minute
)

// CountArgs are the args of a job, as in the floors.
type CountArgs struct {
	Number uint32 `json:"number"`
	Filler string `json:"filler"`
}

// Kind names the handler.
func (CountArgs) Kind() string { return "bench.count" }

// countWorker counts each job by its number.
type countWorker struct {
	river.WorkerDefaults[CountArgs]
	runs []atomic.Uint32
	seen atomic.Int64
}

func (w *countWorker) Work(_ context.Context, job *river.Job[CountArgs]) error {
	number := int(job.Args.Number)
	if number < len(w.runs) && w.runs[number].Add(1) == 1 {
		w.seen.Add(1)
	}
	return nil
}

func (w *countWorker) duplicated() int {
	count := 0
	for i := range w.runs {
		if w.runs[i].Load() > 1 {
			count++
		}
	}
	return count
}

type options struct {
	db          string
	jobs        int
	batch       int
	argsBytes   int
	connections int
	// If not 0, transactions of a caller's are measured instead of a drain.
	transactions int
}

func main() {
	var o options
	flag.StringVar(&o.db, "db", "", "URL of the database; a schema is made anew in it and dropped afterwards")
	flag.IntVar(&o.jobs, "jobs", 200_000, "how many jobs")
	flag.IntVar(&o.batch, "batch", 1000, "jobs in one bulk enqueue")
	flag.IntVar(&o.argsBytes, "args-bytes", 100, "length of a job's args in bytes")
	flag.IntVar(&o.connections, "connections", 10, "connections")
	flag.IntVar(&o.transactions, "transactions", 0, "measure so many transactions with an InsertTx instead of a drain")
	flag.Bool("json", true, "accepted so that every program of the benchmark is called alike")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.jobs < 1 || o.batch < 1 {
		return fmt.Errorf("-jobs and -batch begin at 1")
	}
	config, err := pgxpool.ParseConfig(o.db)
	if err != nil {
		return fmt.Errorf("-db is not a URL of a database: %w", err)
	}
	config.MaxConns = int32(o.connections)
	config.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := prepare(ctx, pool); err != nil {
		return err
	}
	if o.transactions > 0 {
		if err := measureTransactions(ctx, pool, o); err != nil {
			return err
		}
		return exec(ctx, pool, "DROP SCHEMA "+schema+" CASCADE")
	}
	worker := &countWorker{runs: make([]atomic.Uint32, o.jobs)}
	client, err := newClient(pool, worker)
	if err != nil {
		return err
	}

	started := time.Now()
	if err := enqueue(ctx, client, o); err != nil {
		return err
	}
	enqueued := time.Since(started)

	started = time.Now()
	if err := client.Start(ctx); err != nil {
		return err
	}
	if err := untilStored(ctx, pool, worker); err != nil {
		return err
	}
	drained := time.Since(started)
	if err := client.StopAndCancel(ctx); err != nil {
		return err
	}
	if err := exec(ctx, pool, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
		return err
	}
	return report(o, worker, enqueued, drained)
}

func prepare(ctx context.Context, pool *pgxpool.Pool) error {
	for _, sql := range []string{"DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema} {
		if err := exec(ctx, pool, sql); err != nil {
			return err
		}
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func newClient(pool *pgxpool.Pool, worker *countWorker) (*river.Client[pgx.Tx], error) {
	registered := river.NewWorkers()
	river.AddWorker(registered, worker)
	return river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPollInterval,
		Logger:            quiet(),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:           registered,
	})
}

func enqueue(ctx context.Context, client *river.Client[pgx.Tx], o options) error {
	batch := make([]river.InsertManyParams, 0, o.batch)
	for number := range o.jobs {
		args := CountArgs{Number: uint32(number)}
		empty, err := json.Marshal(args)
		if err != nil {
			return err
		}
		args.Filler = strings.Repeat("x", max(0, o.argsBytes-len(empty)))
		batch = append(batch, river.InsertManyParams{Args: args})
		if len(batch) == o.batch || number == o.jobs-1 {
			if _, err := client.InsertManyFast(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// untilStored waits until every job has run, and then until each is stored as completed: a run counts once its end is
// stored.
func untilStored(ctx context.Context, pool *pgxpool.Pool, worker *countWorker) error {
	deadline := time.Now().Add(patience)
	for worker.seen.Load() < int64(len(worker.runs)) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d jobs ran", worker.seen.Load(), len(worker.runs))
		}
		time.Sleep(time.Millisecond)
	}
	for {
		var left bool
		sql := "SELECT EXISTS (SELECT FROM river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled'))"
		if err := pool.QueryRow(ctx, sql).Scan(&left); err != nil {
			return err
		}
		if !left {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("jobs that ran are not stored as completed")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func report(o options, worker *countWorker, enqueued, drained time.Duration) error {
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"system":  "river",
		"version": version(),
		"backend": "postgres",
		"mode":    "drain",
		"settings": map[string]any{
			"workers":                workers,
			"fetch_cooldown_ms":      fetchCooldown.Milliseconds(),
			"fetch_poll_interval_ms": fetchPollInterval.Milliseconds(),
			"connections":            o.connections,
			"batch":                  o.batch,
		},
		"jobs":          o.jobs,
		"args_bytes":    o.argsBytes,
		"enqueue_per_s": float64(o.jobs) / enqueued.Seconds(),
		"drain_per_s":   float64(o.jobs) / drained.Seconds(),
		"lost":          int64(o.jobs) - worker.seen.Load(),
		"duplicated":    worker.duplicated(),
	})
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	return "unknown"
}

func exec(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	_, err := pool.Exec(ctx, sql)
	return err
}

func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
