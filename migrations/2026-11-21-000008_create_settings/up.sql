-- What is cached in processes has a number each that grows with every change. Every process compares them once a second.
CREATE TABLE cache_epochs (
  scope text CONSTRAINT cache_epochs_pkey PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 1
);

-- Ends of sessions, for the processes that believe in them. Each reads those of the last seconds once a second; numbers
-- are not in the order of the commits, so the seconds overlap. Kept for two hours.
CREATE TABLE revocations (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT revocations_pkey PRIMARY KEY,
  subject_kind text NOT NULL,
  subject_id uuid NOT NULL,                                -- no foreign key: it outlives what it is about
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT revocations_subject_kind_check CHECK (subject_kind IN ('session', 'user'))
);
CREATE INDEX revocations_created_at_idx ON revocations (created_at);

-- Settings that differ from what is built in. The code says which there are and what they may be.
CREATE TABLE settings (
  key text CONSTRAINT settings_pkey PRIMARY KEY,
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT settings_key_check CHECK (length(key) BETWEEN 1 AND 100),
  CONSTRAINT settings_value_check CHECK (pg_column_size(value) <= 65536)
);
