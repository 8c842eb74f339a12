-- Work that survives the process that started it. A row is enqueued in the transaction of what it follows from.
CREATE TABLE jobs (
  id uuid CONSTRAINT jobs_pkey PRIMARY KEY DEFAULT uuid_v7(),
  queue text NOT NULL,
  name text NOT NULL,
  account_id uuid,                                         -- whose turn it is; null for the house. No reference: the handler looks
  lane bigint NOT NULL DEFAULT 0,                          -- random bits of the account, 0 for the house: lanes spread evenly
  payload jsonb NOT NULL,                                  -- ids only; they are no authority, handlers read the rows again
  unique_key text,                                         -- at most one live job a key
  state text NOT NULL DEFAULT 'ready',                     -- scheduled: its time has not come; ready: it may be claimed
  priority smallint NOT NULL DEFAULT 100,                  -- smaller first
  run_at timestamptz NOT NULL DEFAULT loquent_now(),
  attempts smallint NOT NULL DEFAULT 0,                    -- counted before the run, so a crash counts
  max_attempts smallint NOT NULL,
  fence int NOT NULL DEFAULT 0,                            -- grows by each claim; what an older claim writes hits no row
  owner_id uuid,                                           -- replica; its lease is the lease of the run
  claimed_at timestamptz,
  deadline_at timestamptz,                                 -- its own process cuts the attempt here
  request_id text,                                         -- of the request that enqueued it, for the log
  reason text,                                             -- why the last attempt failed, in words for people
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  finished_at timestamptz,
  CONSTRAINT jobs_state_check CHECK (state IN ('scheduled', 'ready', 'running', 'done', 'dead', 'canceled')),
  CONSTRAINT jobs_owner_id_check CHECK ((state = 'running') = (owner_id IS NOT NULL)),
  CONSTRAINT jobs_finished_at_check CHECK ((state IN ('done', 'dead', 'canceled')) = (finished_at IS NOT NULL)),
  CONSTRAINT jobs_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 100),
  CONSTRAINT jobs_unique_key_check CHECK (length(unique_key) <= 200),
  CONSTRAINT jobs_reason_check CHECK (length(reason) <= 1000)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
-- A claim skips from lane to lane here, so it reads as much of ten thousand waiting jobs as of ten.
CREATE INDEX jobs_ready_idx ON jobs (queue, name, priority, lane, run_at, id) WHERE state = 'ready';
CREATE INDEX jobs_scheduled_idx ON jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_running_idx ON jobs (queue, lane) WHERE state = 'running';
CREATE INDEX jobs_owner_id_idx ON jobs (owner_id) WHERE state = 'running';
CREATE INDEX jobs_dead_idx ON jobs (name, id) WHERE state = 'dead';
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE state IN ('done', 'canceled');
CREATE UNIQUE INDEX jobs_unique_key_key ON jobs (unique_key) WHERE state IN ('scheduled', 'ready', 'running');
