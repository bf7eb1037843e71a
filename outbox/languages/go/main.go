// Jobs that commit with a user, in pgx, as a role that may only produce: go run . [URL]
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type object map[string]any

// enqueue stores a job in the transaction; it gives its id, or that of the job which holds its unique key.
func enqueue(ctx context.Context, tx pgx.Tx, kind string, args, options object) (id string, err error) {
	err = tx.QueryRow(ctx, "SELECT gristmill.enqueue($1, $2, $3)", kind, args, options).Scan(&id)
	return id, err
}

// addUser stores a user in the transaction; it gives the args of its jobs.
func addUser(ctx context.Context, tx pgx.Tx, email string) object {
	var id int64
	err := tx.QueryRow(ctx, "INSERT INTO users (email) VALUES ($1) RETURNING id", email).Scan(&id)
	return object{"user_id": must(id, err), "email": email}
}

// must ends the program at an error; the server then rolls back.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	url := os.Getenv("DATABASE_URL")
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	ctx := context.Background()
	conn := must(pgx.Connect(ctx, url))
	defer conn.Close(ctx)

	// Rolled back: neither the user nor the job.
	tx := must(conn.Begin(ctx))
	fmt.Println("rolled back:", must(enqueue(ctx, tx, "email.welcome", addUser(ctx, tx, "nobody@example.org"), nil)))
	must(0, tx.Rollback(ctx))

	// Committed: both. What users type is passed as a parameter, so it can be anything.
	tx = must(conn.Begin(ctx))
	fmt.Println("committed:", must(enqueue(ctx, tx, "email.welcome", addUser(ctx, tx, `o'hara"\$1@example.org`), nil)))
	must(0, tx.Commit(ctx))

	// The same unique key twice: one job, and the transaction commits.
	tx = must(conn.Begin(ctx))
	args := addUser(ctx, tx, "twice@example.org")
	options := object{"unique_key": fmt.Sprintf("welcome:%d", args["user_id"])}
	first := must(enqueue(ctx, tx, "email.welcome", args, options))
	fmt.Println("once:", first, must(enqueue(ctx, tx, "email.welcome", args, options)))
	must(0, tx.Commit(ctx))

	// An option that is refused is an error that names it. In a savepoint the rest of the transaction stays.
	tx = must(conn.Begin(ctx))
	args = addUser(ctx, tx, "refused@example.org")
	savepoint := must(tx.Begin(ctx))
	_, err := enqueue(ctx, savepoint, "email.welcome", args, object{"retries": 3})
	if refusal := (*pgconn.PgError)(nil); errors.As(err, &refusal) && refusal.Code == "22023" {
		fmt.Printf("refused: %s\nhint: %s\n", refusal.Message, refusal.Hint)
	}
	must(0, savepoint.Rollback(ctx))
	options = object{"max_attempts": 3, "tags": []string{"eu"}}
	fmt.Println("stored:", must(enqueue(ctx, tx, "email.welcome", args, options)))
	must(0, tx.Commit(ctx))
}
