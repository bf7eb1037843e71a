//! The lists of checks, as tests.

/// Each check as a test with its name.
#[doc(hidden)]
#[macro_export]
macro_rules! each_check {
    ($adapter:ty, $site:expr; $($module:ident: $check:ident;)+) => {
        $(
            #[test]
            fn $check() {
                $crate::$module::$check::<$adapter>(&$site);
            }
        )+
    };
}

/// One test a check, for an adapter of PostgreSQL.
#[macro_export]
macro_rules! postgres_checks {
    ($adapter:ty) => {
        $crate::each_check! { $adapter, $crate::Site::postgres();
            on_both: a_transaction_that_is_rolled_back_leaves_no_job;
            on_both: a_transaction_that_commits_leaves_its_job_as_it_was_enqueued;
            on_both: a_job_waits_for_its_time_by_the_stores_clock;
            wake: a_commit_wakes_a_worker_that_sleeps;
            on_both: a_duplicate_is_an_answer_and_the_transaction_commits;
            on_both: many_jobs_are_answered_in_their_order;
            on_both: outside_of_a_transaction_a_job_is_stored_at_once;
            on_both: a_savepoint_that_is_rolled_back_takes_its_jobs_with_it;
            on_both: what_the_rules_refuse_is_not_sent_and_the_transaction_goes_on;
            on_both: a_protocol_that_is_not_accepted_is_an_error_that_names_it;
            on_both: a_store_without_an_outbox_is_an_error_with_the_remedy;
            on_both: an_outbox_of_another_database_is_refused_before_anything_is_sent;
            on_both: a_detached_job_stays_where_the_transaction_is_rolled_back;
            on_both: requests_of_a_transaction_are_applied_after_its_commit;
            on_both: a_request_that_is_refused_is_an_event_of_its_job;
            on_both: a_patch_that_the_rules_refuse_is_not_sent;
            on_both: a_list_shows_the_newest_jobs_as_the_transaction_sees_them;
            on_postgres: a_read_only_transaction_is_an_error_that_says_so;
            on_postgres: an_aborted_transaction_is_an_error_that_says_so;
            on_postgres: at_read_committed_a_key_taken_meanwhile_is_an_answer;
            on_postgres: at_stricter_levels_a_key_taken_meanwhile_asks_for_a_repeat;
            on_postgres: at_stricter_levels_a_queue_first_used_meanwhile_asks_for_a_repeat;
            on_postgres: a_commit_where_a_statement_has_failed_is_no_error_and_stores_nothing;
            on_postgres: a_detached_job_is_stored_while_the_transaction_writes;
            on_postgres: a_lost_answer_to_commit_may_have_stored_and_a_repeat_is_safe;
            on_postgres: a_lost_answer_outside_of_a_transaction_may_have_stored;
            on_postgres: a_connection_lost_in_the_transaction_has_stored_nothing;
            on_postgres: a_role_without_rights_is_told_which_it_needs;
            apart: two_outboxes_on_one_connection_keep_apart;
            apart: a_hostile_search_path_changes_nothing;
        }
    };
}

/// One test a check, for an adapter of SQLite.
#[macro_export]
macro_rules! sqlite_checks {
    ($adapter:ty) => {
        $crate::each_check! { $adapter, $crate::Site::sqlite();
            on_both: a_transaction_that_is_rolled_back_leaves_no_job;
            on_both: a_transaction_that_commits_leaves_its_job_as_it_was_enqueued;
            on_both: a_job_waits_for_its_time_by_the_stores_clock;
            wake: a_commit_wakes_a_worker_that_sleeps;
            on_both: a_duplicate_is_an_answer_and_the_transaction_commits;
            on_both: many_jobs_are_answered_in_their_order;
            on_both: outside_of_a_transaction_a_job_is_stored_at_once;
            on_both: a_savepoint_that_is_rolled_back_takes_its_jobs_with_it;
            on_both: what_the_rules_refuse_is_not_sent_and_the_transaction_goes_on;
            on_both: a_protocol_that_is_not_accepted_is_an_error_that_names_it;
            on_both: a_store_without_an_outbox_is_an_error_with_the_remedy;
            on_both: an_outbox_of_another_database_is_refused_before_anything_is_sent;
            on_both: a_detached_job_stays_where_the_transaction_is_rolled_back;
            on_both: requests_of_a_transaction_are_applied_after_its_commit;
            on_both: a_request_that_is_refused_is_an_event_of_its_job;
            on_both: a_patch_that_the_rules_refuse_is_not_sent;
            on_both: a_list_shows_the_newest_jobs_as_the_transaction_sees_them;
            on_sqlite: a_connection_that_only_reads_is_an_error_that_says_so;
            on_sqlite: another_writer_is_an_error_that_asks_for_a_repeat;
            on_sqlite: a_snapshot_that_is_past_is_an_error_that_asks_for_a_repeat;
            on_sqlite: a_transaction_that_sqlite_has_ended_takes_nothing;
            on_sqlite: a_commit_that_is_refused_has_stored_nothing;
            on_sqlite: a_commit_that_is_held_up_asks_for_a_repeat;
            on_sqlite: a_clients_call_behind_the_first_write_waits_in_vain_and_the_transaction_commits;
        }
    };
}
