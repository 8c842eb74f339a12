-- The only source of "now" in SQL, column defaults included; tests replace its body to move time.
CREATE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS
  'SELECT clock_timestamp()';

-- Sortable id (RFC 9562, version 7) for the rows that SQL functions create; all others get theirs in Rust.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM loquent_now()) * 1000)::bigint), 12, '0')
       || '7' || substr(h, 14, 3) || substr(h, 17))::uuid
    FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS h) AS random
$$;

-- Smallest version 7 uuid of an instant: the bounds of monthly partitions.
CREATE FUNCTION uuid_v7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Creates the partitions of this month and of the next `ahead` ones; repeating it changes nothing.
CREATE FUNCTION ensure_month_partitions(parent regclass, ahead int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first_day timestamp := date_trunc('month', loquent_now() AT TIME ZONE 'UTC');
  child text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_month_partitions'));
  FOR i IN 0..ahead LOOP
    child := format('%s_%s', parent::text, to_char(first_day, 'YYYY_MM'));
    IF to_regclass(child) IS NULL THEN
      EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', child, parent,
                     uuid_v7_floor(first_day AT TIME ZONE 'UTC'),
                     uuid_v7_floor((first_day + interval '1 month') AT TIME ZONE 'UTC'));
    END IF;
    first_day := first_day + interval '1 month';
  END LOOP;
END $$;

CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'LQ001';
END $$;

-- Turns a lost compare-and-set into an error, so that the whole statement is undone.
CREATE FUNCTION require_moved(ok boolean, what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF ok IS NOT TRUE THEN
    RAISE EXCEPTION '% has moved on', what USING ERRCODE = 'LQ409';
  END IF;
  RETURN true;
END $$;

-- The first result of an operation with an idempotency key. The row commits together with the effect, so
-- there is no "in progress" state; a twin waits on the primary key and then reads this row.
CREATE TABLE idempotency_keys (
  user_id uuid NOT NULL,
  operation text NOT NULL,
  key text NOT NULL,
  request_hash bytea NOT NULL,
  result jsonb NOT NULL,                                   -- ids only; the objects are read again
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  expires_at timestamptz NOT NULL DEFAULT loquent_now() + interval '24 hours',
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, operation, key),
  CONSTRAINT idempotency_keys_key_check CHECK (length(key) BETWEEN 8 AND 255),
  CONSTRAINT idempotency_keys_request_hash_check CHECK (length(request_hash) = 32)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

-- One row a process start; its lease is the lease of everything the process owns. Rewritten by every flush
-- of the stream log, hence the free space in its page.
CREATE TABLE replicas (
  id uuid CONSTRAINT replicas_pkey PRIMARY KEY,
  lease_until timestamptz NOT NULL,
  fenced_at timestamptz,                                   -- set once by another replica: every later write hits 0 rows
  drained_at timestamptz,                                  -- set by itself at a clean stop
  steady_since timestamptz NOT NULL DEFAULT loquent_now(), -- it has never been without a lease since
  version text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT loquent_now()
) WITH (fillfactor = 20);
