-- Money and limits. Amounts of credits and cost are integer micro-units (1 credit = 1,000,000), everything else is whole.
-- A wallet is a balance and its row is the only lock of it; grants are the dated money inside. A counter is a limit that
-- starts again. A hold reserves parts of grants and of counters for one piece of work, all or nothing; ledger_entries says
-- every movement of a wallet. Only the functions below write these tables. They lock in one order: wallets by meter,
-- counters by user, meter and window, the deployment's slot last.

CREATE TABLE wallets (
  id uuid CONSTRAINT wallets_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT wallets_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  meter text NOT NULL,
  available bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  revision bigint NOT NULL DEFAULT 0,                      -- +1 a movement: the newest ledger entry
  CONSTRAINT wallets_account_id_meter_key UNIQUE (account_id, meter),
  CONSTRAINT wallets_meter_check CHECK (meter IN ('credits', 'tokens', 'cost')),
  CONSTRAINT wallets_available_check CHECK (available >= 0),   -- overdraft cannot be stored
  CONSTRAINT wallets_held_check CHECK (held >= 0)
) WITH (fillfactor = 60);

CREATE TABLE grants (
  id uuid CONSTRAINT grants_pkey PRIMARY KEY,
  wallet_id uuid NOT NULL CONSTRAINT grants_wallet_id_fkey REFERENCES wallets ON DELETE CASCADE,
  source text NOT NULL,
  source_key text NOT NULL,                                -- the thing granted for, such as a period: granted once
  priority smallint NOT NULL,                              -- lower is spent first, then what expires first
  amount bigint NOT NULL,
  available bigint NOT NULL,
  held bigint NOT NULL DEFAULT 0,
  spent bigint NOT NULL DEFAULT 0,
  expired bigint NOT NULL DEFAULT 0,
  revoked bigint NOT NULL DEFAULT 0,                       -- taken back, by a refund of its price or an administrator
  starts_at timestamptz NOT NULL DEFAULT loquent_now(),    -- of the period it is for; it is spendable once it is booked
  expires_at timestamptz NOT NULL DEFAULT 'infinity',
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT grants_wallet_id_source_source_key_key UNIQUE (wallet_id, source, source_key),
  CONSTRAINT grants_source_check CHECK (source IN ('plan', 'rollover', 'purchase', 'promotion', 'adjustment')),
  CONSTRAINT grants_amount_check CHECK (amount > 0),
  CONSTRAINT grants_available_check CHECK (available >= 0),
  CONSTRAINT grants_held_check CHECK (held >= 0),
  CONSTRAINT grants_spent_check CHECK (spent >= 0),
  CONSTRAINT grants_expired_check CHECK (expired >= 0),
  CONSTRAINT grants_revoked_check CHECK (revoked >= 0),
  CONSTRAINT grants_parts_check CHECK (amount = available + held + spent + expired + revoked)
) WITH (fillfactor = 60);
CREATE INDEX grants_draw_idx ON grants (wallet_id, priority, expires_at, id);

-- One limit of an account or of one of its members. Calendar windows (day, month, period) roll forward, to zero, when the
-- first hold of the next one comes. In sliding windows (minute, hour) the draws themselves are the count, so `used` stays 0
-- and there are no bounds. `none` never rolls: only what is held counts. No check against a limit: after a change of plan
-- more may be used than is allowed.
CREATE TABLE quota_counters (
  id uuid CONSTRAINT quota_counters_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT quota_counters_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  user_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',   -- zero: all members together
  meter text NOT NULL,
  window_kind text NOT NULL,
  window_started_at timestamptz,                           -- names the window: draws of another one move nothing here
  window_ends_at timestamptz,
  used bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  revision bigint NOT NULL DEFAULT 0,
  CONSTRAINT quota_counters_account_id_user_id_meter_window_kind_key UNIQUE (account_id, user_id, meter, window_kind),
  CONSTRAINT quota_counters_meter_check CHECK (meter IN
    ('llm_requests', 'image_requests', 'voice_requests', 'messages', 'conversations', 'tokens', 'credits', 'cost')),
  CONSTRAINT quota_counters_window_kind_check CHECK (window_kind IN ('minute', 'hour', 'day', 'month', 'period', 'none')),
  CONSTRAINT quota_counters_window_started_at_check CHECK (
    (window_kind IN ('minute', 'hour')) = (window_started_at IS NULL) AND (window_started_at IS NULL) = (window_ends_at IS NULL)),
  CONSTRAINT quota_counters_used_check CHECK (used >= 0),
  CONSTRAINT quota_counters_held_check CHECK (held >= 0)
) WITH (fillfactor = 60);

-- Micro-credits of all accounts in one day, in slots that are summed without a lock: holds that are admitted in the same
-- instant do not see each other, and may together exceed the ceiling by what they hold.
CREATE TABLE deployment_days (
  started_at timestamptz NOT NULL,
  slot smallint NOT NULL,
  used bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  CONSTRAINT deployment_days_pkey PRIMARY KEY (started_at, slot),
  CONSTRAINT deployment_days_slot_check CHECK (slot BETWEEN 0 AND 15),
  CONSTRAINT deployment_days_used_check CHECK (used >= 0),
  CONSTRAINT deployment_days_held_check CHECK (held >= 0)
) WITH (fillfactor = 60);

-- Pays for exactly one piece of work and has its id, so there is at most one hold for each. An empty conversation is
-- counted when it is made: its hold is settled in the transaction that opens it.
CREATE TABLE holds (
  id uuid CONSTRAINT holds_pkey PRIMARY KEY,
  account_id uuid NOT NULL,
  purpose text NOT NULL,
  state text NOT NULL DEFAULT 'open',
  units bigint NOT NULL,                                   -- admitted output cap, the one sent upstream
  overrun bigint NOT NULL DEFAULT 0,                       -- credits of real cost above the hold: ours, never the customer's
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  resolved_at timestamptz,
  CONSTRAINT holds_purpose_check CHECK (purpose IN ('generation', 'conversation')),
  CONSTRAINT holds_state_check CHECK (state IN ('open', 'settled', 'released', 'refunded')),
  CONSTRAINT holds_units_check CHECK (units >= 0),
  CONSTRAINT holds_overrun_check CHECK (overrun >= 0),
  CONSTRAINT holds_resolved_at_check CHECK ((state = 'open') = (resolved_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX holds_open_idx ON holds (created_at) WHERE state = 'open';

-- What a hold took from one grant, one counter or one slot of the deployment's day.
CREATE TABLE hold_draws (
  hold_id uuid NOT NULL CONSTRAINT hold_draws_hold_id_fkey REFERENCES holds ON DELETE CASCADE,
  line smallint NOT NULL,                                  -- one wallet or counter of the call
  part smallint NOT NULL,                                  -- one grant of its wallet
  meter text NOT NULL,
  wallet_id uuid,
  grant_id uuid CONSTRAINT hold_draws_grant_id_fkey REFERENCES grants ON DELETE CASCADE,
  counter_id uuid CONSTRAINT hold_draws_counter_id_fkey REFERENCES quota_counters ON DELETE CASCADE,
  slot smallint,
  window_started_at timestamptz,                           -- of the counter or the slot; null in sliding windows
  held bigint NOT NULL,
  spent bigint,                                            -- null while the hold is open
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT hold_draws_pkey PRIMARY KEY (hold_id, line, part),
  CONSTRAINT hold_draws_target_check CHECK (num_nonnulls(grant_id, counter_id, slot) = 1 AND (wallet_id IS NULL) = (grant_id IS NULL)),
  CONSTRAINT hold_draws_held_check CHECK (held > 0 OR (held = 0 AND grant_id IS NULL)),
  CONSTRAINT hold_draws_spent_check CHECK (spent BETWEEN 0 AND held)
);
CREATE INDEX hold_draws_grant_id_idx ON hold_draws (grant_id) WHERE grant_id IS NOT NULL;
-- The count of a sliding window, and what leaves with any counter.
CREATE INDEX hold_draws_counter_id_idx ON hold_draws (counter_id, created_at) WHERE counter_id IS NOT NULL;

-- What was taken back from a wallet, once for a (grant, reference) or for an adjustment, whose id it has.
CREATE TABLE ledger_takings (
  id uuid CONSTRAINT ledger_takings_pkey PRIMARY KEY,
  wallet_id uuid NOT NULL CONSTRAINT ledger_takings_wallet_id_fkey REFERENCES wallets ON DELETE CASCADE,
  grant_id uuid CONSTRAINT ledger_takings_grant_id_fkey REFERENCES grants ON DELETE CASCADE,
  reference text,                                          -- refund or dispute
  asked bigint NOT NULL,
  taken bigint NOT NULL,                                   -- less when there was less: never below zero
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT ledger_takings_grant_id_reference_key UNIQUE (grant_id, reference),
  CONSTRAINT ledger_takings_reference_check CHECK ((grant_id IS NULL) = (reference IS NULL)),
  CONSTRAINT ledger_takings_asked_check CHECK (asked > 0),
  CONSTRAINT ledger_takings_taken_check CHECK (taken BETWEEN 0 AND asked)
);
CREATE INDEX ledger_takings_wallet_id_idx ON ledger_takings (wallet_id);

-- One movement of one grant: `amount` became available (or, negative, stopped being so), `spent` left the held part.
CREATE TABLE ledger_entries (
  id uuid CONSTRAINT ledger_entries_pkey PRIMARY KEY,
  account_id uuid NOT NULL,
  wallet_id uuid NOT NULL CONSTRAINT ledger_entries_wallet_id_fkey REFERENCES wallets ON DELETE CASCADE,
  grant_id uuid NOT NULL CONSTRAINT ledger_entries_grant_id_fkey REFERENCES grants ON DELETE CASCADE,
  kind text NOT NULL,
  amount bigint NOT NULL,
  spent bigint NOT NULL DEFAULT 0,
  balance_after bigint NOT NULL,                           -- available in the wallet after the movement
  revision bigint NOT NULL,                                -- of the wallet after the movement: 1, 2, 3 and so on
  hold_id uuid,
  taking_id uuid CONSTRAINT ledger_entries_taking_id_fkey REFERENCES ledger_takings ON DELETE CASCADE,
  user_id uuid,
  description text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT ledger_entries_wallet_id_revision_key UNIQUE (wallet_id, revision),
  CONSTRAINT ledger_entries_balance_after_check CHECK (balance_after >= 0),
  CONSTRAINT ledger_entries_taking_id_check CHECK ((taking_id IS NOT NULL) = (kind IN ('adjust', 'refund') AND amount < 0)),
  CONSTRAINT ledger_entries_movement_check CHECK (
       (kind = 'grant' AND amount > 0 AND spent = 0 AND hold_id IS NULL)
    OR (kind = 'hold' AND amount < 0 AND spent = 0 AND hold_id IS NOT NULL)
    OR (kind = 'settle' AND amount >= 0 AND spent >= 0 AND hold_id IS NOT NULL)
    OR (kind = 'release' AND amount > 0 AND spent = 0 AND hold_id IS NOT NULL)
    OR (kind = 'expire' AND amount < 0 AND spent = 0 AND hold_id IS NULL)
    OR (kind = 'refund' AND amount > 0 AND spent = -amount AND hold_id IS NOT NULL)
    OR (kind IN ('adjust', 'refund') AND amount < 0 AND spent = 0 AND hold_id IS NULL)
    OR (kind = 'adjust' AND amount > 0 AND spent = 0 AND hold_id IS NULL))
);
-- Once for a hold, and found by the grant that they leave with.
CREATE UNIQUE INDEX ledger_entries_grant_id_hold_id_kind_key ON ledger_entries (grant_id, hold_id, kind);
CREATE INDEX ledger_entries_wallet_id_kind_idx ON ledger_entries (wallet_id, kind, revision);
CREATE INDEX ledger_entries_taking_id_idx ON ledger_entries (taking_id) WHERE taking_id IS NOT NULL;
-- A trigger of UPDATE only: entries leave with their account and with nothing else.
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION forbid_change();

-- Whole micro-units of a total in millionths, rounded up. Exact for every size: `ceil(total / 1000000)` is not, because
-- a quotient of numerics is itself rounded to 16 digits.
CREATE FUNCTION ceil_mega(total numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
  'SELECT div(total + 999999, 1000000)';

-- Length of a sliding window; null for the others.
CREATE FUNCTION sliding_length(p_window text) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE p_window WHEN 'minute' THEN interval '1 minute' WHEN 'hour' THEN interval '1 hour' END
$$;

-- True of what is counted in calls, not by what they use. In a sliding window an attempt counts even if it was given back.
CREATE FUNCTION is_count(p_meter text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT p_meter NOT IN ('credits', 'tokens', 'cost')
$$;

-- What a draw weighs in its sliding window.
CREATE FUNCTION sliding_weight(d hold_draws) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN is_count(d.meter) THEN d.held ELSE coalesce(d.spent, d.held) END
$$;

-- Every count as it stands now: counters, where a window that is over has nothing used and sliding ones are summed from
-- their draws, and wallets of granted limits, which alone know their limit. The revision grows with everything that changes
-- here, time included: a window that is over adds one until the next hold begins the next one, and a draw of a sliding
-- window, which counts twice in the revision of its counter, counts once as long as it is in the window. What is counted
-- on one plan and granted on another goes on from the same number.
CREATE VIEW quota_states AS
SELECT q.id, q.account_id, nullif(q.user_id, '00000000-0000-0000-0000-000000000000') AS user_id, q.meter, q.window_kind,
       NULL::bigint AS granted,
       CASE WHEN s.used IS NOT NULL THEN s.used WHEN q.window_ends_at <= loquent_now() THEN 0 ELSE q.used END AS used,
       CASE WHEN s.held IS NOT NULL THEN s.held WHEN q.window_ends_at <= loquent_now() THEN 0 ELSE q.held END AS held,
       CASE WHEN s.used IS NOT NULL THEN s.resets_at WHEN q.window_ends_at > loquent_now() THEN nullif(q.window_ends_at, 'infinity') END AS resets_at,
       q.revision - coalesce(s.draws, 0) + (coalesce(q.window_ends_at, 'infinity') <= loquent_now())::int
         + CASE WHEN q.window_kind = 'period' AND q.user_id = '00000000-0000-0000-0000-000000000000' AND q.meter IN ('tokens', 'cost')
             THEN coalesce((SELECT w.revision FROM wallets w WHERE w.account_id = q.account_id AND w.meter = q.meter), 0) ELSE 0 END AS revision
  FROM quota_counters q
  LEFT JOIN LATERAL (
    SELECT count(*) AS draws, coalesce(sum(sliding_weight(d)) FILTER (WHERE d.spent IS NOT NULL), 0)::bigint AS used,
           coalesce(sum(d.held) FILTER (WHERE d.spent IS NULL), 0)::bigint AS held,
           min(d.created_at) FILTER (WHERE sliding_weight(d) > 0) + sliding_length(q.window_kind) AS resets_at
      FROM hold_draws d
     WHERE q.window_kind IN ('minute', 'hour') AND d.counter_id = q.id AND d.window_started_at IS NULL
       AND d.created_at > loquent_now() - sliding_length(q.window_kind)
  ) s ON q.window_kind IN ('minute', 'hour')
UNION ALL
SELECT w.id, w.account_id, NULL, w.meter, 'period', g.amount, g.spent, w.held, nullif(g.expires_at, 'infinity'),
       w.revision + coalesce((SELECT q.revision + (q.window_ends_at <= loquent_now())::int FROM quota_counters q
         WHERE (q.account_id, q.user_id, q.meter, q.window_kind) = (w.account_id, '00000000-0000-0000-0000-000000000000', w.meter, 'period')), 0)
  FROM wallets w, LATERAL (
    SELECT coalesce(sum(amount - revoked), 0)::bigint AS amount, coalesce(sum(spent), 0)::bigint AS spent, min(expires_at) AS expires_at
      FROM grants WHERE wallet_id = w.id AND expires_at > loquent_now()) g
 WHERE w.meter <> 'credits';

-- A count as the code reads it.
CREATE FUNCTION quota_json(s quota_states) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('meter', s.meter, 'window', s.window_kind, 'scope', CASE WHEN s.user_id IS NULL THEN 'account' ELSE 'member' END,
                            'limit', s.granted, 'used', s.used, 'held', s.held, 'resets_at', s.resets_at, 'revision', s.revision, 'at', loquent_now())
$$;

-- Books the end of what has expired in a wallet, which it locks. Returns the amount. Repeating it changes nothing.
CREATE FUNCTION ledger_expire(p_wallet uuid, p_now timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE g record; w wallets; total bigint := 0; at timestamptz;
BEGIN
  PERFORM 1 FROM wallets WHERE id = p_wallet FOR UPDATE;
  at := coalesce(p_now, loquent_now());
  FOR g IN SELECT id, available FROM grants WHERE wallet_id = p_wallet AND available > 0 AND expires_at <= at ORDER BY expires_at, id LOOP
    UPDATE grants SET available = 0, expired = expired + g.available WHERE id = g.id;
    UPDATE wallets SET available = available - g.available, revision = revision + 1 WHERE id = p_wallet RETURNING * INTO w;
    INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, balance_after, revision, description)
      VALUES (uuid_v7(), w.account_id, p_wallet, g.id, 'expire', -g.available, w.available, w.revision, 'Expired');
    total := total + g.available;
  END LOOP;
  RETURN total;
END $$;

-- Adds money once for a (source, source_key). True if this call added it.
CREATE FUNCTION ledger_grant(p_grant uuid, p_account uuid, p_meter text, p_source text, p_source_key text, p_amount bigint,
                             p_priority smallint, p_starts timestamptz, p_expires timestamptz, p_user uuid, p_description text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE w wallets;
BEGIN
  INSERT INTO wallets (id, account_id, meter) VALUES (uuid_v7(), p_account, p_meter)
    ON CONFLICT (account_id, meter) DO NOTHING;
  SELECT * INTO STRICT w FROM wallets WHERE account_id = p_account AND meter = p_meter FOR UPDATE;
  PERFORM ledger_expire(w.id);
  INSERT INTO grants (id, wallet_id, source, source_key, priority, amount, available, starts_at, expires_at)
    VALUES (p_grant, w.id, p_source, p_source_key, p_priority, p_amount, p_amount, p_starts, p_expires)
    ON CONFLICT (wallet_id, source, source_key) DO NOTHING;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE wallets SET available = available + p_amount, revision = revision + 1 WHERE id = w.id RETURNING * INTO w;
  INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, balance_after, revision, user_id, description)
    VALUES (uuid_v7(), p_account, w.id, p_grant, CASE p_source WHEN 'adjustment' THEN 'adjust' ELSE 'grant' END, p_amount,
            w.available, w.revision, p_user, p_description);
  IF p_expires < 'infinity' THEN
    PERFORM ledger_expire(w.id);                           -- it may be for a time that is over
  END IF;
  RETURN true;
END $$;

-- Takes up to the rest of what `p_taking` asks from the grants of a locked wallet, in the order in which they are spent.
CREATE FUNCTION ledger_take(p_taking ledger_takings, p_kind text, p_user uuid, p_description text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE g record; w wallets; rest bigint := p_taking.asked; take bigint;
BEGIN
  FOR g IN SELECT id, available FROM grants
            WHERE wallet_id = p_taking.wallet_id AND available > 0 AND (p_taking.grant_id IS NULL OR id = p_taking.grant_id)
            ORDER BY priority, expires_at, id LOOP
    EXIT WHEN rest = 0;
    take := least(g.available, rest); rest := rest - take;
    UPDATE grants SET available = available - take, revoked = revoked + take WHERE id = g.id;
    UPDATE wallets SET available = available - take, revision = revision + 1 WHERE id = p_taking.wallet_id RETURNING * INTO w;
    INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, balance_after, revision, taking_id, user_id, description)
      VALUES (uuid_v7(), w.account_id, w.id, g.id, p_kind, -take, w.available, w.revision, p_taking.id, p_user, p_description);
  END LOOP;
  UPDATE ledger_takings SET taken = asked - rest WHERE id = p_taking.id;
  RETURN p_taking.asked - rest;
END $$;

-- Takes back what is left of a grant, at most p_amount, because its price was refunded or disputed: once for a
-- reference. Returns what was taken; null if it was done before. What is held or spent stays so.
CREATE FUNCTION ledger_revoke(p_grant uuid, p_amount bigint, p_reference text, p_user uuid, p_description text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE w uuid; t ledger_takings;
BEGIN
  SELECT wallet_id INTO STRICT w FROM grants WHERE id = p_grant;
  PERFORM ledger_expire(w);
  INSERT INTO ledger_takings (id, wallet_id, grant_id, reference, asked, taken)
    VALUES (uuid_v7(), w, p_grant, p_reference, p_amount, 0)
    ON CONFLICT (grant_id, reference) DO NOTHING RETURNING * INTO t;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN ledger_take(t, 'refund', p_user, p_description);
END $$;

-- What an administrator gives (p_amount > 0) or takes, once for an id. Returns what became available, negative when it
-- was taken, which is never more than there is; null if it was done before.
CREATE FUNCTION ledger_adjust(p_adjustment uuid, p_account uuid, p_meter text, p_amount bigint, p_expires timestamptz,
                              p_user uuid, p_description text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE w wallets; t ledger_takings;
BEGIN
  IF p_amount > 0 THEN
    RETURN CASE WHEN ledger_grant(p_adjustment, p_account, p_meter, 'adjustment', p_adjustment::text, p_amount, 40::smallint,
                                  loquent_now(), p_expires, p_user, p_description) THEN p_amount END;
  END IF;
  INSERT INTO wallets (id, account_id, meter) VALUES (uuid_v7(), p_account, p_meter)
    ON CONFLICT (account_id, meter) DO NOTHING;
  SELECT * INTO STRICT w FROM wallets WHERE account_id = p_account AND meter = p_meter FOR UPDATE;
  PERFORM ledger_expire(w.id);
  INSERT INTO ledger_takings (id, wallet_id, asked, taken) VALUES (p_adjustment, w.id, -p_amount, 0)
    ON CONFLICT (id) DO NOTHING RETURNING * INTO t;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN -ledger_take(t, 'adjust', p_user, p_description);
END $$;

-- The lines of a hold in the order in which they are locked, with the bounds of the windows that have fixed ones.
CREATE FUNCTION ledger_lines(p_lines jsonb)
RETURNS TABLE (line smallint, kind text, meter text, window_kind text, user_id uuid, starts timestamptz, ends timestamptz,
               most numeric, fixed numeric, rate numeric) LANGUAGE sql IMMUTABLE AS $$
  SELECT row_number() OVER (ORDER BY x.kind = 'deployment', x.kind = 'counter', u.id, x.meter, x."window")::smallint, x.kind, x.meter, x."window", u.id,
         CASE x."window" WHEN 'none' THEN '-infinity'::timestamptz ELSE x.starts END,
         CASE x."window" WHEN 'none' THEN 'infinity'::timestamptz ELSE x.ends END, x."limit", x.fixed, x.rate
    FROM jsonb_to_recordset(p_lines) AS x(kind text, meter text, "window" text, "user" uuid, starts timestamptz, ends timestamptz,
                                          "limit" numeric, fixed numeric, rate numeric),
         LATERAL (SELECT coalesce(x."user", '00000000-0000-0000-0000-000000000000') AS id) u
$$;

-- What a hold has touched, as it stands now: limits, and what the deployment has used in the day. The ids are an array,
-- because only that reaches the indexes below the view.
CREATE FUNCTION ledger_quotas(p_hold uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(q.value), '[]') FROM (
    SELECT quota_json(s) AS value FROM quota_states s
     WHERE s.id = ANY (ARRAY(SELECT coalesce(counter_id, wallet_id) FROM hold_draws WHERE hold_id = p_hold))
    UNION ALL
    SELECT jsonb_build_object('meter', d.meter, 'window', 'day', 'scope', 'deployment', 'used', sum(t.used), 'held', sum(t.held), 'revision', 0,
                              'at', loquent_now())
      FROM hold_draws d JOIN deployment_days t ON t.started_at = d.window_started_at
     WHERE d.hold_id = p_hold AND d.slot IS NOT NULL GROUP BY d.meter) q
$$;

-- When a sliding window has room for p_need again; null when it never has.
CREATE FUNCTION sliding_reset(p_counter uuid, p_length interval, p_most numeric, p_need numeric, p_now timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT min(left_at) FROM (
    SELECT d.created_at + p_length AS left_at,
           sum(sliding_weight(d)) OVER () - sum(sliding_weight(d)) OVER (ORDER BY d.created_at) AS remaining
      FROM hold_draws d
     WHERE d.counter_id = p_counter AND d.window_started_at IS NULL AND d.created_at > p_now - p_length) leaving
   WHERE remaining + p_need <= p_most
$$;

-- What lines of a call count in, as it stands now. The ids are an array for the same reason as above.
CREATE FUNCTION ledger_counts(p_account uuid, p_lines jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(quota_json(s)), '[]') FROM quota_states s WHERE s.id = ANY (ARRAY(
    SELECT q.id FROM quota_counters q JOIN ledger_lines(p_lines) x
        ON x.kind = 'counter' AND (q.user_id, q.meter, q.window_kind) = (x.user_id, x.meter, x.window_kind) WHERE q.account_id = p_account
    UNION ALL
    SELECT w.id FROM wallets w JOIN ledger_lines(p_lines) x ON x.kind = 'wallet' AND x.meter = w.meter WHERE w.account_id = p_account))
$$;

-- Opens a hold over all lines, or over none. A line costs fixed + ceil_mega(rate * units) of its meter:
--   {"kind": "wallet", "meter", "fixed", "rate"}
--   {"kind": "counter", "meter", "window", "user": id or null for the account, "starts", "ends", "limit": null is unlimited,
--    "fixed", "rate"}; starts and ends are the bounds of a day, month or period
--   {"kind": "deployment", "meter": "credits", "window": "day", "starts", "ends", "limit", "fixed", "rate"}
-- `units` becomes the largest of p_min..p_want that every line can pay; below p_min the refusal LQ402 carries the line that
-- is in the way as JSON in its DETAIL, with the balance and all limits of the call. Returns the credits wallet after it. The
-- lines hold until p_until, the first end of a window, of the period or of the plan: from then on nothing is admitted or
-- refused by them ("window has moved on").
CREATE FUNCTION ledger_hold(p_hold uuid, p_account uuid, p_purpose text, p_want bigint, p_min bigint, p_lines jsonb,
                            p_user uuid, p_description text, p_until timestamptz DEFAULT 'infinity')
RETURNS TABLE (units bigint, credits_held bigint, available bigint, held bigint, revision bigint, quotas jsonb) LANGUAGE plpgsql AS $$
DECLARE
  l record; g record; w wallets; c quota_counters;
  at timestamptz; payable numeric := p_want; used_now numeric; held_now numeric; room numeric; required numeric; resets timestamptz;
  need bigint; take bigint; k smallint; own_slot smallint := get_byte(uuid_send(p_hold), 15) & 15;
BEGIN
  -- What is not there yet is made first, in the order of the locks. It pays for what is free.
  INSERT INTO wallets (id, account_id, meter)
    SELECT uuid_v7(), p_account, x.meter FROM ledger_lines(p_lines) x
     WHERE x.kind = 'wallet' AND NOT EXISTS (SELECT FROM wallets o WHERE o.account_id = p_account AND o.meter = x.meter)
     ORDER BY x.line ON CONFLICT (account_id, meter) DO NOTHING;
  PERFORM 1 FROM wallets o WHERE o.account_id = p_account
     AND o.meter IN (SELECT x.meter FROM ledger_lines(p_lines) x WHERE x.kind = 'wallet') ORDER BY o.meter FOR UPDATE;
  INSERT INTO quota_counters (id, account_id, user_id, meter, window_kind, window_started_at, window_ends_at)
    SELECT uuid_v7(), p_account, x.user_id, x.meter, x.window_kind, x.starts, x.ends FROM ledger_lines(p_lines) x
     WHERE x.kind = 'counter' AND NOT EXISTS (
       SELECT FROM quota_counters q
        WHERE (q.account_id, q.user_id, q.meter, q.window_kind) = (p_account, x.user_id, x.meter, x.window_kind))
     ORDER BY x.line ON CONFLICT (account_id, user_id, meter, window_kind) DO NOTHING;
  PERFORM 1 FROM quota_counters q
    JOIN ledger_lines(p_lines) x ON x.kind = 'counter' AND (q.user_id, q.meter, q.window_kind) = (x.user_id, x.meter, x.window_kind)
   WHERE q.account_id = p_account ORDER BY q.user_id, q.meter, q.window_kind FOR UPDATE OF q;

  -- One instant for all that follows, so that nothing expires between the check and the draw. Each statement below sees
  -- what the last holders of the locks committed.
  at := loquent_now();
  -- Whoever has waited for the locks until a window was over would count in one in which nothing counts any more, or be
  -- refused by it; and the money of the next period may be there by now. A hold that is admitted in time counts in its
  -- window, whenever it commits.
  PERFORM require_moved(at < p_until, 'window');
  PERFORM ledger_expire(o.id, at) FROM wallets o WHERE o.account_id = p_account
     AND o.meter IN (SELECT x.meter FROM ledger_lines(p_lines) x WHERE x.kind = 'wallet')
     AND EXISTS (SELECT FROM grants e WHERE e.wallet_id = o.id AND e.available > 0 AND e.expires_at <= at);
  -- The next window begins at zero. One that overlaps the old, after a change of zone or anchor, only moves its end, so
  -- that nobody gains by the change; people see it with the change of terms that it comes from.
  UPDATE quota_counters q SET
      used = CASE WHEN x.starts >= q.window_ends_at THEN 0 ELSE q.used END,
      held = CASE WHEN x.starts >= q.window_ends_at THEN 0 ELSE q.held END,
      window_started_at = CASE WHEN x.starts >= q.window_ends_at THEN x.starts ELSE q.window_started_at END,
      window_ends_at = x.ends, revision = q.revision + CASE WHEN x.starts >= q.window_ends_at THEN 1 ELSE 0 END
    FROM ledger_lines(p_lines) x
   WHERE x.kind = 'counter' AND q.account_id = p_account
     AND (q.user_id, q.meter, q.window_kind) = (x.user_id, x.meter, x.window_kind) AND q.window_ends_at < x.ends;

  FOR l IN SELECT x.* FROM ledger_lines(p_lines) x ORDER BY x.line LOOP
    required := l.fixed + ceil_mega(l.rate * p_min);
    IF l.kind = 'wallet' THEN
      SELECT * INTO STRICT w FROM wallets o WHERE o.account_id = p_account AND o.meter = l.meter;
      used_now := NULL; held_now := w.held; room := w.available; resets := NULL;
      IF l.meter <> 'credits' THEN
        SELECT s.granted, s.used, s.resets_at INTO l.most, used_now, resets FROM quota_states s WHERE s.id = w.id;
      END IF;
    ELSIF l.kind = 'counter' THEN
      SELECT * INTO STRICT c FROM quota_counters q
        WHERE (q.account_id, q.user_id, q.meter, q.window_kind) = (p_account, l.user_id, l.meter, l.window_kind);
      used_now := c.used; held_now := c.held; resets := nullif(c.window_ends_at, 'infinity');
      IF sliding_length(l.window_kind) IS NOT NULL THEN
        SELECT coalesce(sum(sliding_weight(d)) FILTER (WHERE d.spent IS NOT NULL), 0), coalesce(sum(d.held) FILTER (WHERE d.spent IS NULL), 0)
          INTO used_now, held_now FROM hold_draws d
         WHERE d.counter_id = c.id AND d.window_started_at IS NULL AND d.created_at > at - sliding_length(l.window_kind);
      END IF;
      room := l.most - used_now - held_now;
    ELSE
      SELECT coalesce(sum(t.used), 0), coalesce(sum(t.held), 0) INTO used_now, held_now FROM deployment_days t WHERE t.started_at = l.starts;
      room := l.most - used_now - held_now; resets := l.ends;
    END IF;
    payable := CASE
      WHEN room < l.fixed THEN -1
      WHEN room IS NOT NULL AND l.rate > 0 THEN least(payable, div((room - l.fixed) * 1000000, l.rate))
      ELSE payable END;
    IF payable < p_min THEN
      IF l.kind = 'counter' AND sliding_length(l.window_kind) IS NOT NULL THEN
        resets := sliding_reset(c.id, sliding_length(l.window_kind), l.most, required, at);
      END IF;
      RAISE EXCEPTION 'insufficient %', l.meter USING ERRCODE = 'LQ402', DETAIL = jsonb_build_object(
        'kind', l.kind, 'meter', l.meter, 'window', l.window_kind, 'is_member', l.user_id <> '00000000-0000-0000-0000-000000000000',
        'limit', l.most, 'used', used_now, 'held', held_now, 'available', greatest(room, 0), 'required', least(required, 9223372036854775807),
        'resets_at', resets, 'now', at, 'account_id', p_account,
        'balance', (SELECT jsonb_build_object('available', o.available, 'held', o.held, 'revision', o.revision)
                      FROM wallets o WHERE o.account_id = p_account AND o.meter = 'credits'),
        'counts', ledger_counts(p_account, p_lines),
        -- Open holds alone are in the way. In a sliding window they stay, as attempts.
        'is_held', held_now > 0 AND room + held_now >= required
                   AND NOT (sliding_length(l.window_kind) IS NOT NULL AND is_count(l.meter)))::text;
    END IF;
  END LOOP;
  units := payable::bigint;
  credits_held := 0;

  INSERT INTO holds (id, account_id, purpose, units) VALUES (p_hold, p_account, p_purpose, units);
  FOR l IN SELECT x.* FROM ledger_lines(p_lines) x ORDER BY x.line LOOP
    need := (l.fixed + ceil_mega(l.rate * payable::bigint))::bigint; k := 0;
    IF l.kind = 'counter' THEN
      UPDATE quota_counters q SET held = q.held + need, revision = q.revision + CASE WHEN q.window_started_at IS NULL THEN 2 ELSE 1 END
       WHERE (q.account_id, q.user_id, q.meter, q.window_kind) = (p_account, l.user_id, l.meter, l.window_kind) RETURNING * INTO c;
      INSERT INTO hold_draws (hold_id, line, part, meter, counter_id, window_started_at, held, created_at)
        VALUES (p_hold, l.line, 1, l.meter, c.id, c.window_started_at, need, at);
      CONTINUE;
    ELSIF l.kind = 'deployment' THEN
      INSERT INTO deployment_days AS t (started_at, slot, held) VALUES (l.starts, own_slot, need)
        ON CONFLICT (started_at, slot) DO UPDATE SET held = t.held + excluded.held;
      INSERT INTO hold_draws (hold_id, line, part, meter, slot, window_started_at, held, created_at)
        VALUES (p_hold, l.line, 1, l.meter, own_slot, l.starts, need, at);
      CONTINUE;
    END IF;
    SELECT * INTO STRICT w FROM wallets o WHERE o.account_id = p_account AND o.meter = l.meter;
    IF l.meter = 'credits' THEN
      credits_held := need;
    END IF;
    FOR g IN SELECT grants.id, grants.available FROM grants
              WHERE wallet_id = w.id AND grants.available > 0 ORDER BY priority, expires_at, id LOOP
      EXIT WHEN need = 0;
      take := least(g.available, need); k := k + 1; need := need - take;
      UPDATE grants SET available = grants.available - take, held = grants.held + take WHERE id = g.id;
      UPDATE wallets SET available = wallets.available - take, held = wallets.held + take, revision = wallets.revision + 1
       WHERE id = w.id RETURNING * INTO w;
      INSERT INTO hold_draws (hold_id, line, part, meter, wallet_id, grant_id, held, created_at)
        VALUES (p_hold, l.line, k, l.meter, w.id, g.id, take, at);
      INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, balance_after, revision, hold_id, user_id, description)
        VALUES (uuid_v7(), p_account, w.id, g.id, 'hold', -take, w.available, w.revision, p_hold, p_user, p_description);
    END LOOP;
    IF need > 0 THEN
      RAISE EXCEPTION 'the grants of wallet % are worth less than its balance', w.id USING ERRCODE = 'LQ002';
    END IF;
  END LOOP;
  SELECT o.available, o.held, o.revision INTO available, held, revision
    FROM wallets o WHERE o.account_id = p_account AND o.meter = 'credits';
  available := coalesce(available, 0); held := coalesce(held, 0); revision := coalesce(revision, 0);
  quotas := ledger_quotas(p_hold);
  RETURN NEXT;
END $$;

-- Resolves a hold exactly once: `settled` to what was really used (`{"credits": n, "tokens": n, "cost": n}`), or `released`.
-- Calls count as they were held, but for those at once, of which nothing stays. Credits above the hold are booked as our
-- overrun; of the other meters at most what was held is spent. No row: somebody else resolved it.
CREATE FUNCTION ledger_settle(p_hold uuid, p_state text, p_actual jsonb, p_user uuid, p_description text)
RETURNS TABLE (credits_charged bigint, available bigint, held bigint, revision bigint, quotas jsonb) LANGUAGE plpgsql AS $$
DECLARE
  d record; h holds; w wallets; at timestamptz;
  line smallint := 0; rest bigint := 0; pay bigint;
BEGIN
  UPDATE holds SET state = p_state, resolved_at = loquent_now() WHERE id = p_hold AND state = 'open' RETURNING * INTO h;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM jsonb_each_text(p_actual) WHERE value::bigint < 0) THEN
    RAISE EXCEPTION 'negative usage' USING ERRCODE = 'LQ002';
  END IF;
  PERFORM 1 FROM wallets WHERE id IN (SELECT wallet_id FROM hold_draws WHERE hold_id = p_hold) ORDER BY meter FOR UPDATE;
  at := loquent_now();
  credits_charged := 0;
  FOR d IN SELECT x.*, q.window_kind FROM hold_draws x LEFT JOIN quota_counters q ON q.id = x.counter_id
            WHERE x.hold_id = p_hold ORDER BY x.line, x.part LOOP
    IF d.line <> line THEN
      line := d.line;
      rest := CASE
        WHEN p_state <> 'settled' OR d.window_kind = 'none' THEN 0
        WHEN is_count(d.meter) THEN d.held
        ELSE coalesce((p_actual->>d.meter)::bigint, 0) END;
    END IF;
    pay := least(rest, d.held); rest := rest - pay;
    UPDATE hold_draws SET spent = pay WHERE hold_id = p_hold AND hold_draws.line = d.line AND part = d.part;
    IF d.counter_id IS NOT NULL THEN
      -- A window that has rolled meanwhile owes nothing.
      UPDATE quota_counters q SET held = q.held - d.held, used = q.used + CASE WHEN d.window_started_at IS NULL THEN 0 ELSE pay END,
                                  revision = q.revision + 1
       WHERE q.id = d.counter_id AND q.window_started_at IS NOT DISTINCT FROM d.window_started_at;
    ELSIF d.slot IS NOT NULL THEN
      UPDATE deployment_days t SET held = t.held - d.held, used = t.used + pay
       WHERE t.started_at = d.window_started_at AND t.slot = d.slot;
    ELSE
      UPDATE grants SET held = grants.held - d.held, spent = grants.spent + pay, available = grants.available + d.held - pay
       WHERE id = d.grant_id;
      UPDATE wallets SET held = wallets.held - d.held, available = wallets.available + d.held - pay, revision = wallets.revision + 1
       WHERE id = d.wallet_id RETURNING * INTO w;
      INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, spent, balance_after, revision, hold_id, user_id, description)
        VALUES (uuid_v7(), h.account_id, w.id, d.grant_id, CASE p_state WHEN 'settled' THEN 'settle' ELSE 'release' END,
                d.held - pay, pay, w.available, w.revision, p_hold, p_user, p_description);
      IF d.meter = 'credits' THEN
        credits_charged := credits_charged + pay;
      END IF;
    END IF;
  END LOOP;
  -- What came back to a grant that is over has expired too.
  PERFORM ledger_expire(o.id, at) FROM wallets o
    WHERE o.id IN (SELECT wallet_id FROM hold_draws WHERE hold_id = p_hold)
      AND EXISTS (SELECT FROM grants e WHERE e.wallet_id = o.id AND e.available > 0 AND e.expires_at <= at);
  -- Every line of credits holds the same, so each says what there was to exceed. What was held for nothing can be too.
  UPDATE holds SET overrun = (p_actual->>'credits')::bigint - t.most
    FROM (SELECT coalesce(max(total), 0) AS most FROM (
            SELECT sum(x.held) AS total FROM hold_draws x WHERE x.hold_id = p_hold AND x.meter = 'credits' GROUP BY x.line) lines) t
   WHERE id = p_hold AND p_state = 'settled' AND (p_actual->>'credits')::bigint > t.most;
  SELECT o.available, o.held, o.revision INTO available, held, revision
    FROM wallets o WHERE o.account_id = h.account_id AND o.meter = 'credits';
  available := coalesce(available, 0); held := coalesce(held, 0); revision := coalesce(revision, 0);
  quotas := ledger_quotas(p_hold);
  RETURN NEXT;
END $$;

-- Gives a settled hold back, once: money to the same grants, counts to windows that are not over. An attempt stays one.
-- False: it is not settled, or was given back before.
CREATE FUNCTION ledger_refund(p_hold uuid, p_user uuid, p_description text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE d record; h holds; w wallets;
BEGIN
  UPDATE holds SET state = 'refunded' WHERE id = p_hold AND state = 'settled' RETURNING * INTO h;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM 1 FROM wallets WHERE id IN (SELECT wallet_id FROM hold_draws WHERE hold_id = p_hold) ORDER BY meter FOR UPDATE;
  FOR d IN SELECT * FROM hold_draws WHERE hold_id = p_hold AND spent > 0 ORDER BY line, part LOOP
    IF d.counter_id IS NOT NULL THEN
      UPDATE quota_counters q SET used = q.used - d.spent, revision = q.revision + 1
       WHERE q.id = d.counter_id AND q.window_started_at = d.window_started_at;
    ELSIF d.slot IS NOT NULL THEN
      UPDATE deployment_days t SET used = t.used - d.spent WHERE t.started_at = d.window_started_at AND t.slot = d.slot;
    ELSE
      UPDATE grants SET spent = spent - d.spent, available = available + d.spent WHERE id = d.grant_id;
      UPDATE wallets SET available = available + d.spent, revision = revision + 1 WHERE id = d.wallet_id RETURNING * INTO w;
      INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, spent, balance_after, revision, hold_id, user_id, description)
        VALUES (uuid_v7(), h.account_id, w.id, d.grant_id, 'refund', d.spent, -d.spent, w.available, w.revision, p_hold, p_user, p_description);
    END IF;
  END LOOP;
  PERFORM ledger_expire(o.id) FROM wallets o WHERE o.id IN (SELECT wallet_id FROM hold_draws WHERE hold_id = p_hold);
  RETURN true;
END $$;
