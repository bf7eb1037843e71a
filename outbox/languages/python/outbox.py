"""Jobs that commit with a user, in psycopg 3, as a role that may only produce: python outbox.py [URL]"""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb


def enqueue(connection, kind, args, **options):
    """Stores a job in the transaction; gives its id, or that of the job which holds its unique key."""
    row = connection.execute("SELECT gristmill.enqueue(%s, %s, %s)", (kind, Jsonb(args), Jsonb(options))).fetchone()
    return row[0]


def add_user(connection, email):
    """Stores a user in the transaction; gives the args of its jobs."""
    row = connection.execute("INSERT INTO users (email) VALUES (%s) RETURNING id", (email,)).fetchone()
    return {"user_id": row[0], "email": email}


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
        # Rolled back: neither the user nor the job.
        with connection.transaction():
            print("rolled back:", enqueue(connection, "email.welcome", add_user(connection, "nobody@example.org")))
            raise psycopg.Rollback

        # Committed: both. What users type is passed as a parameter, so it can be anything.
        with connection.transaction():
            print("committed:", enqueue(connection, "email.welcome", add_user(connection, """o'hara"\\$1@example.org""")))

        # The same unique key twice: one job, and the transaction commits.
        with connection.transaction():
            args = add_user(connection, "twice@example.org")
            key = f"welcome:{args['user_id']}"
            first = enqueue(connection, "email.welcome", args, unique_key=key)
            print("once:", first, enqueue(connection, "email.welcome", args, unique_key=key))

        # An option that is refused is an error that names it. In a savepoint the rest of the transaction stays.
        with connection.transaction():
            args = add_user(connection, "refused@example.org")
            try:
                with connection.transaction():
                    enqueue(connection, "email.welcome", args, retries=3)
            except psycopg.errors.InvalidParameterValue as error:
                print("refused:", error.diag.message_primary)
                print("hint:", error.diag.message_hint)
            print("stored:", enqueue(connection, "email.welcome", args, max_attempts=3, tags=["eu"]))


if __name__ == "__main__":
    main()
