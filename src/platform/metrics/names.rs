//! Every metric of the process. `docs/OPERATIONS.md` has the same list; a test compares them.

use metrics::Unit;

use super::{Counter, Description, Gauge, Histogram, Kind};

macro_rules! metrics {
    ($($constant:ident: $kind:ident = $name:literal, [$($label:literal),*], $unit:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $constant: $kind<{ <[&str]>::len(&[$($label),*]) }> =
                $kind { name: $name, labels: [$($label),*] };
        )*

        /// All of them, in the order of the documentation.
        pub const ALL: &[Description] = &[$(Description {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            unit: Unit::$unit,
            help: $help,
        }),*];
    };
}

metrics! {
    OPERATIONS: Counter = "loquent_graphql_operations_total", ["name", "kind", "code"], Count,
        "Operations that ended or were refused, by the code of their first error, OK, or CANCELED by the client.";
    OPERATION_SECONDS: Histogram = "loquent_graphql_operation_duration_seconds", ["kind"], Seconds,
        "Time from admission to the last answer.";
    SUBSCRIPTIONS: Gauge = "loquent_graphql_subscriptions", [], Count,
        "Subscriptions that run.";
    GUARD_REFUSALS: Counter = "loquent_guard_refusals_total", ["code"], Count,
        "Documents that the guard refused before anything was looked up.";
    PANICS: Counter = "loquent_panics_total", [], Count,
        "Panics of the process. Any is a fault of ours.";

    HTTP_RESPONSES: Counter = "loquent_http_responses_total", ["route", "status"], Count,
        "HTTP responses; 101 opens a socket.";
    HTTP_CONNECTIONS: Gauge = "loquent_http_connections", [], Count,
        "Open connections, sockets included.";
    SOCKETS: Gauge = "loquent_websocket_connections", [], Count,
        "Open sockets.";
    SOCKET_CLOSES: Counter = "loquent_websocket_closes_total", ["code"], Count,
        "Sockets that ended, by our close code; gone when the client left without one of ours.";

    RUNS: Gauge = "loquent_generations_running", [], Count,
        "Answers that are being made by this process.";
    REPLICAS: Gauge = "loquent_replicas", [], Count,
        "Processes whose lease holds, as this one last read it from the database, every two seconds.";
    REPLICAS_FENCED: Counter = "loquent_replicas_fenced_total", [], Count,
        "Processes that this one declared dead because their lease was over.";
    LEASE_AGE: Gauge = "loquent_lease_age_seconds", [], Seconds,
        "Time since this process renewed its lease. Beyond the lease the others may end what it runs.";
    FLUSHES: Counter = "loquent_stream_log_flushes_total", ["outcome"], Count,
        "Attempts to store what answers said: ok, failed (repeated) or fenced (this process lost its lease).";
    FLUSH_SECONDS: Histogram = "loquent_stream_log_flush_duration_seconds", [], Seconds,
        "Time of a flush that succeeded, waiting for a connection included.";
    STREAM_EVENTS: Counter = "loquent_stream_log_events_total", [], Count,
        "Events that were stored and passed on to watchers.";

    PROVIDER_CALLS: Counter = "loquent_provider_calls_total", ["provider", "model", "outcome"], Count,
        "Calls to model providers: ok, timeout, rate_limited, refused, fault, cut_off, or abandoned by us.";
    PROVIDER_CALLS_OPEN: Gauge = "loquent_provider_calls_open", [], Count,
        "Calls to model providers that are under way: asked, or being read.";
    PROVIDER_FIRST_TOKEN: Histogram = "loquent_provider_time_to_first_token_seconds", ["provider", "model"], Seconds,
        "Time from the call to the first piece of the answer or its reasoning.";
    CREDITS_HELD: Counter = "loquent_microcredits_held_total", [], Count,
        "Reserved for answers, in millionths of a credit.";
    CREDITS_CHARGED: Counter = "loquent_microcredits_charged_total", [], Count,
        "Charged for answers, in millionths of a credit.";
    HOLD_REFUSALS: Counter = "loquent_hold_refusals_total", ["meter", "window"], Count,
        "Calls that a balance (no window), a limit or a ceiling refused.";
    CEILING_ALARMS: Counter = "loquent_ceiling_alarms_total", ["scope"], Count,
        "Calls that began with the credits of the day near their ceiling, of one account or of the deployment.";
    CREDITS_OVERRUN: Counter = "loquent_microcredits_overrun_total", [], Count,
        "Used beyond what was reserved and never charged, in millionths of a credit. Growth means that prices or estimates are wrong.";

    JOBS: Gauge = "loquent_jobs", ["queue", "state"], Count,
        "Jobs that are scheduled, ready or running, as the database has them every 15 s; counted up to 100,000 in all.";
    JOBS_OLDEST: Gauge = "loquent_jobs_oldest_ready_seconds", ["queue"], Seconds,
        "How long the oldest job whose time has come has waited for a runner.";
    JOBS_DEAD: Gauge = "loquent_jobs_dead", ["name"], Count,
        "Dead letters, which wait for somebody to retry or discard them.";
    JOB_ATTEMPTS: Counter = "loquent_job_attempts_total", ["name", "outcome"], Count,
        "Attempts that ended: done, failed, panicked, timed_out (all three are tried again), dead (the last one), crashed (with its process), given_back (this process stopped) or lost (another process has the job).";
    JOB_SECONDS: Histogram = "loquent_job_duration_seconds", ["name"], Seconds,
        "Time of an attempt, the writing of its end included.";

    POOL_CONNECTIONS: Gauge = "loquent_db_pool_connections", ["pool", "state"], Count,
        "Database connections, idle or in_use.";
    POOL_MAX: Gauge = "loquent_db_pool_max_connections", ["pool"], Count,
        "Most connections of the pool.";
    POOL_WAITING: Gauge = "loquent_db_pool_waiting", ["pool"], Count,
        "Callers that wait for a connection.";
    POOL_FAILURES: Counter = "loquent_db_pool_failures_total", ["pool", "reason"], Count,
        "Connections that were not had: timeout (all were busy for too long) or error (the database refused or is away).";
    CRON_TICKS: Counter = "loquent_cron_ticks_total", ["name"], Count,
        "Ticks of the timetable whose job this process has enqueued; each is enqueued by one process.";
    CRON_LATE: Gauge = "loquent_cron_late_seconds", [], Seconds,
        "How long the oldest due entry has waited at the last look of this process, a second ago at most; 0 when none is due.";
    PARTITION_MONTHS: Gauge = "loquent_partition_months_ahead", [], Count,
        "Months after this one that have their partition. Below 2 somebody has to look.";
    LEDGER_DIFFERENCES: Gauge = "loquent_ledger_differences", [], Count,
        "Differences that the last check of the books found, whichever process made it. Any is a fault of ours.";
    LEDGER_CHECKED: Gauge = "loquent_ledger_last_check_timestamp_seconds", [], Seconds,
        "When the books were last checked, in seconds since 1970; that is every hour.";
    LISTENER_CONNECTED: Gauge = "loquent_listener_connected", [], Count,
        "1 while hints of other processes are heard; 0 while they are not, or are switched off.";
    LISTENER_FAILURES: Counter = "loquent_listener_failures_total", [], Count,
        "Times that the connection for hints was lost or not had.";
    RATE_REFUSALS: Counter = "loquent_rate_limit_refusals_total", ["limit"], Count,
        "Requests, operations and attempts that were refused because there were too many, by limit.";
    RATE_BYPASSES: Counter = "loquent_rate_limit_bypasses_total", ["limit"], Count,
        "Requests and operations that were let through uncounted because the database did not answer.";
    NEWS_LOOKS: Counter = "loquent_news_looks_total", ["outcome"], Count,
        "Looks at what other processes changed and revoked, once a second and more: ok or failed.";
    REVISION_LOOKS: Counter = "loquent_revision_looks_total", ["of", "outcome"], Count,
        "Looks at whether watched accounts, conversations or generations have changed, while any is watched: ok or failed.";

    TASKS: Gauge = "loquent_tasks", [], Count,
        "Tasks of this process that have not ended: its housework, answers, jobs, mutations, and what runs on sockets.";

    BUILD_INFO: Gauge = "loquent_build_info", ["version"], Count,
        "Always 1.";
    START_TIME: Gauge = "process_start_time_seconds", [], Seconds,
        "When the process began to count, in seconds since 1970.";
    RESIDENT_BYTES: Gauge = "process_resident_memory_bytes", [], Bytes,
        "Resident memory; 0 where the system does not say.";
    OPEN_FDS: Gauge = "process_open_fds", [], Count,
        "Open file descriptors; 0 where the system does not say.";
}
