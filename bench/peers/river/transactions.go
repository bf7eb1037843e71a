package main

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// warmUp is how many transactions are done before the measured ones: plans are made, files grow.
const warmUp = 200

// measureTransactions does transactions of one connection, each with a row of the user's and one InsertTx, by turns
// with transactions that have the row alone.
func measureTransactions(ctx context.Context, pool *pgxpool.Pool, o options) error {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: quiet()})
	if err != nil {
		return err
	}
	if err := exec(ctx, pool, "CREATE TABLE users (number bigint PRIMARY KEY, name text NOT NULL)"); err != nil {
		return err
	}
	connection, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer connection.Release()
	var transactions, statements []time.Duration
	for number := range warmUp + o.transactions {
		for _, bare := range []bool{number%2 == 0, number%2 == 1} {
			args := CountArgs{Number: uint32(number), Filler: strings.Repeat("x", max(0, o.argsBytes-len(`{"number":1000,"filler":""}`)))}
			begun := time.Now()
			tx, err := connection.Begin(ctx)
			if err != nil {
				return err
			}
			user := int64(number) * 2
			if bare {
				user++
			}
			if _, err := tx.Exec(ctx, "INSERT INTO users (number, name) VALUES ($1, $2)", user, "somebody"); err != nil {
				return err
			}
			called := time.Now()
			if !bare {
				if _, err := client.InsertTx(ctx, tx, args, nil); err != nil {
					return err
				}
			}
			statement := time.Since(called)
			if err := tx.Commit(ctx); err != nil {
				return err
			}
			if number >= warmUp && !bare {
				transactions = append(transactions, time.Since(begun))
				statements = append(statements, statement)
			}
		}
	}
	var stored int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM river_job").Scan(&stored); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"system":       "river",
		"version":      version(),
		"backend":      "postgres",
		"mode":         "transactions",
		"jobs":         o.transactions,
		"args_bytes":   o.argsBytes,
		"tx_ms":        median(transactions).Seconds() * 1e3,
		"statement_us": median(statements).Seconds() * 1e6,
		"lost":         warmUp + o.transactions - stored,
		"duplicated":   0,
	})
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
