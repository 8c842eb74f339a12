-- How often something was done lately, by key. Never money. Not logged: if the database crashes the table is empty, and
-- every limit begins anew, once.
CREATE UNLOGGED TABLE rate_limits (
  key text CONSTRAINT rate_limits_pkey PRIMARY KEY,
  stamps timestamptz[] NOT NULL DEFAULT '{}',              -- of a sliding window: when each permit was taken
  full_at timestamptz NOT NULL DEFAULT loquent_now(),      -- from then on the row says no more than if it was not there
  CONSTRAINT rate_limits_key_check CHECK (length(key) <= 200)
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.05);
-- A log of stamps is rewritten as a whole, so it stays beside its key.
ALTER TABLE rate_limits ALTER stamps SET STORAGE MAIN;

-- The row of a key, locked. It may be pruned between the two statements, but not again and again.
CREATE FUNCTION rate_lock(p_key text) RETURNS rate_limits LANGUAGE plpgsql AS $$
DECLARE
  locked rate_limits;
BEGIN
  FOR attempt IN 1..10 LOOP
    SELECT * INTO locked FROM rate_limits r WHERE r.key = p_key FOR UPDATE;
    IF FOUND THEN
      RETURN locked;
    END IF;
    INSERT INTO rate_limits (key) VALUES (p_key) ON CONFLICT DO NOTHING;
  END LOOP;
  RAISE EXCEPTION 'the rate limit % comes and goes', p_key;
END $$;

-- Sliding window: takes as many permits as there are, `p_most` at most. No window of this length, wherever it begins, has
-- more than `p_limit`. The time is read under the lock, so stamps are taken in their order.
CREATE FUNCTION rate_take(p_key text, p_most int, p_limit int, p_window interval)
RETURNS TABLE (granted int, free int, retry_us bigint, reset_us bigint) LANGUAGE plpgsql AS $$
DECLARE
  locked rate_limits := rate_lock(p_key);
  at timestamptz := loquent_now();
  live timestamptz[];
  used int;
BEGIN
  -- A stamp more than a window ahead is of a clock that was set back since, and would stay for as long.
  live := ARRAY(SELECT s FROM unnest(locked.stamps) s WHERE s > at - p_window AND s <= at + p_window ORDER BY s);
  granted := greatest(least(p_most, p_limit - cardinality(live)), 0);
  IF granted > 0 THEN
    live := live || array_fill(at, ARRAY[granted]);
    UPDATE rate_limits SET stamps = live, full_at = at + p_window WHERE key = p_key;
  END IF;
  used := cardinality(live);
  free := greatest(p_limit - used, 0);
  retry_us := CASE WHEN used < p_limit THEN 0
                   ELSE ceil(extract(epoch FROM live[used - p_limit + 1] + p_window - at) * 1000000) END;
  reset_us := CASE WHEN used = 0 THEN 0 ELSE ceil(extract(epoch FROM live[used] + p_window - at) * 1000000) END;
  RETURN NEXT;
END $$;

-- Bucket of `p_limit` points that is refilled evenly within `p_window` (GCRA): gives `p_back` points back, then takes
-- `p_least` or nothing, and up to `p_most` if they are there. It may let through twice the limit around the edge of a
-- window, so it is for what weighs differently, not for what is promised to the one.
CREATE FUNCTION rate_spend(p_key text, p_back int, p_least int, p_most int, p_limit int, p_window interval)
RETURNS TABLE (granted int, free int, retry_us bigint, reset_us bigint) LANGUAGE plpgsql AS $$
DECLARE
  locked rate_limits := rate_lock(p_key);
  at timestamptz := loquent_now();
  whole double precision := extract(epoch FROM p_window) * 1000000;
  point double precision := whole / p_limit;
  -- Microseconds until the bucket is full.
  owed double precision;
BEGIN
  owed := greatest(least(extract(epoch FROM locked.full_at - at) * 1000000, whole) - p_back * point, 0);
  free := floor((whole - owed) / point + 1e-6);
  granted := CASE WHEN free < p_least THEN 0 ELSE least(p_most, free) END;
  IF granted > 0 OR p_back > 0 THEN
    owed := least(owed + granted * point, whole);
    UPDATE rate_limits SET full_at = at + owed * interval '1 microsecond' WHERE key = p_key;
  END IF;
  free := floor((whole - owed) / point + 1e-6);
  retry_us := CASE WHEN granted >= p_least THEN 0 ELSE ceil(p_least * point - (whole - owed)) END;
  reset_us := ceil(owed);
  RETURN NEXT;
END $$;
