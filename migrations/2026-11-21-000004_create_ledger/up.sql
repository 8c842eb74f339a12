-- Money. Amounts are integer micro-units (1 credit = 1,000,000). A wallet row is the only lock of its balance;
-- grants are the dated money inside it; a hold reserves parts of grants for one piece of work; ledger_entries
-- says every movement. Only the three functions below write these tables.

CREATE TABLE wallets (
  id uuid CONSTRAINT wallets_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT wallets_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  meter text NOT NULL,
  available bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  revision bigint NOT NULL DEFAULT 0,                      -- +1 a movement: the newest ledger entry
  CONSTRAINT wallets_account_id_meter_key UNIQUE (account_id, meter),
  CONSTRAINT wallets_meter_check CHECK (meter IN ('credits')),
  CONSTRAINT wallets_available_check CHECK (available >= 0),   -- overdraft cannot be stored
  CONSTRAINT wallets_held_check CHECK (held >= 0)
) WITH (fillfactor = 60);

CREATE TABLE grants (
  id uuid CONSTRAINT grants_pkey PRIMARY KEY,
  wallet_id uuid NOT NULL CONSTRAINT grants_wallet_id_fkey REFERENCES wallets ON DELETE CASCADE,
  source text NOT NULL,
  source_key text NOT NULL,                                -- the thing granted for, such as `sign_up`: granted once
  priority smallint NOT NULL,                              -- lower is spent first
  amount bigint NOT NULL,
  available bigint NOT NULL,
  held bigint NOT NULL DEFAULT 0,
  spent bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT grants_wallet_id_source_source_key_key UNIQUE (wallet_id, source, source_key),
  CONSTRAINT grants_source_check CHECK (source IN ('plan', 'rollover', 'purchase', 'promotion', 'adjustment')),
  CONSTRAINT grants_amount_check CHECK (amount > 0),
  CONSTRAINT grants_available_check CHECK (available >= 0),
  CONSTRAINT grants_held_check CHECK (held >= 0),
  CONSTRAINT grants_spent_check CHECK (spent >= 0),
  CONSTRAINT grants_parts_check CHECK (amount = available + held + spent)
) WITH (fillfactor = 60);
CREATE INDEX grants_draw_idx ON grants (wallet_id, priority, id);

-- Pays for exactly one piece of work and has its id, so there is at most one hold for each.
CREATE TABLE holds (
  id uuid CONSTRAINT holds_pkey PRIMARY KEY,
  account_id uuid NOT NULL,
  purpose text NOT NULL,
  state text NOT NULL DEFAULT 'open',
  units bigint NOT NULL,                                   -- admitted output cap, the one sent upstream
  overrun bigint NOT NULL DEFAULT 0,                       -- real cost above the hold: ours, never the customer's
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  resolved_at timestamptz,
  CONSTRAINT holds_purpose_check CHECK (purpose IN ('generation')),
  CONSTRAINT holds_state_check CHECK (state IN ('open', 'settled', 'released')),
  CONSTRAINT holds_units_check CHECK (units >= 0),
  CONSTRAINT holds_overrun_check CHECK (overrun >= 0),
  CONSTRAINT holds_resolved_at_check CHECK ((state = 'open') = (resolved_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX holds_open_idx ON holds (created_at) WHERE state = 'open';

CREATE TABLE hold_draws (
  hold_id uuid NOT NULL CONSTRAINT hold_draws_hold_id_fkey REFERENCES holds ON DELETE CASCADE,
  line smallint NOT NULL,                                  -- one meter of the call
  part smallint NOT NULL,                                  -- one grant of its wallet
  wallet_id uuid NOT NULL,
  grant_id uuid NOT NULL CONSTRAINT hold_draws_grant_id_fkey REFERENCES grants ON DELETE CASCADE,
  held bigint NOT NULL,
  spent bigint,
  CONSTRAINT hold_draws_pkey PRIMARY KEY (hold_id, line, part),
  CONSTRAINT hold_draws_held_check CHECK (held > 0),
  CONSTRAINT hold_draws_spent_check CHECK (spent BETWEEN 0 AND held)
);
CREATE INDEX hold_draws_grant_id_idx ON hold_draws (grant_id);

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
  user_id uuid,
  description text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT ledger_entries_wallet_id_revision_key UNIQUE (wallet_id, revision),
  CONSTRAINT ledger_entries_balance_after_check CHECK (balance_after >= 0),
  CONSTRAINT ledger_entries_movement_check CHECK (
       (kind = 'grant' AND amount > 0 AND spent = 0 AND hold_id IS NULL)
    OR (kind = 'hold' AND amount < 0 AND spent = 0 AND hold_id IS NOT NULL)
    OR (kind = 'settle' AND amount >= 0 AND spent >= 0 AND hold_id IS NOT NULL)
    OR (kind = 'release' AND amount > 0 AND spent = 0 AND hold_id IS NOT NULL))
);
CREATE UNIQUE INDEX ledger_entries_hold_id_kind_grant_id_key ON ledger_entries (hold_id, kind, grant_id) WHERE hold_id IS NOT NULL;
-- A trigger of UPDATE only: entries leave with their account and with nothing else.
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION forbid_change();

-- Whole micro-units of a total in millionths, rounded up. Exact for every size: `ceil(total / 1000000)` is not, because
-- a quotient of numerics is itself rounded to 16 digits.
CREATE FUNCTION ceil_mega(total numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
  'SELECT div(total + 999999, 1000000)';

-- Adds money once for a (source, source_key). True if this call added it.
CREATE FUNCTION ledger_grant(p_grant uuid, p_account uuid, p_meter text, p_source text, p_source_key text,
                             p_amount bigint, p_priority smallint, p_user uuid, p_description text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE w wallets;
BEGIN
  INSERT INTO wallets (id, account_id, meter) VALUES (uuid_v7(), p_account, p_meter)
    ON CONFLICT (account_id, meter) DO NOTHING;
  SELECT * INTO STRICT w FROM wallets WHERE account_id = p_account AND meter = p_meter FOR UPDATE;
  INSERT INTO grants (id, wallet_id, source, source_key, priority, amount, available)
    VALUES (p_grant, w.id, p_source, p_source_key, p_priority, p_amount, p_amount)
    ON CONFLICT (wallet_id, source, source_key) DO NOTHING;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE wallets SET available = available + p_amount, revision = revision + 1 WHERE id = w.id RETURNING * INTO w;
  INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, balance_after, revision, user_id, description)
    VALUES (uuid_v7(), p_account, w.id, p_grant, 'grant', p_amount, w.available, w.revision, p_user, p_description);
  RETURN true;
END $$;

-- Opens a hold over the wallets of all lines, or of none. A line `{"meter", "fixed", "rate"}` costs
-- fixed + ceil_mega(rate * units). `units` becomes the largest of p_min..p_want that every line can pay;
-- below p_min the refusal LQ402 carries the line as JSON in its DETAIL. Returns the credits wallet after it.
CREATE FUNCTION ledger_hold(p_hold uuid, p_account uuid, p_purpose text, p_want bigint, p_min bigint, p_lines jsonb,
                            p_user uuid, p_description text)
RETURNS TABLE (units bigint, credits_held bigint, available bigint, held bigint, revision bigint) LANGUAGE plpgsql AS $$
DECLARE
  l record; g record; w wallets;
  payable numeric := p_want; need bigint; take bigint; n smallint := 0; k smallint;
BEGIN
  -- Lock every wallet first, in one order. A statement after the lock sees what the last holder committed.
  FOR l IN SELECT x->>'meter' AS meter, (x->>'fixed')::numeric AS fixed, (x->>'rate')::numeric AS rate
             FROM jsonb_array_elements(p_lines) AS x ORDER BY 1 LOOP
    SELECT * INTO w FROM wallets WHERE account_id = p_account AND meter = l.meter FOR UPDATE;
    IF NOT FOUND THEN
      -- Nothing was ever granted, which pays for what is free.
      INSERT INTO wallets (id, account_id, meter) VALUES (uuid_v7(), p_account, l.meter)
        ON CONFLICT (account_id, meter) DO NOTHING;
      SELECT * INTO STRICT w FROM wallets WHERE account_id = p_account AND meter = l.meter FOR UPDATE;
    END IF;
    payable := CASE
      WHEN w.available < l.fixed THEN -1
      WHEN l.rate > 0 THEN least(payable, div((w.available - l.fixed) * 1000000, l.rate))
      ELSE payable END;
    IF payable < p_min THEN
      RAISE EXCEPTION 'insufficient %', l.meter USING ERRCODE = 'LQ402', DETAIL = jsonb_build_object(
        'meter', l.meter, 'required', l.fixed + ceil_mega(l.rate * p_min),
        'available', w.available, 'held', w.held)::text;
    END IF;
  END LOOP;
  units := payable::bigint;
  credits_held := 0;

  INSERT INTO holds (id, account_id, purpose, units) VALUES (p_hold, p_account, p_purpose, units);
  FOR l IN SELECT x->>'meter' AS meter,
                  ((x->>'fixed')::numeric + ceil_mega((x->>'rate')::numeric * payable::bigint))::bigint AS need
             FROM jsonb_array_elements(p_lines) AS x ORDER BY 1 LOOP
    n := n + 1; k := 0; need := l.need;
    SELECT * INTO STRICT w FROM wallets WHERE account_id = p_account AND meter = l.meter;
    FOR g IN SELECT grants.id, grants.available FROM grants
              WHERE wallet_id = w.id AND grants.available > 0 ORDER BY priority, id LOOP
      EXIT WHEN need = 0;
      take := least(g.available, need); k := k + 1; need := need - take;
      UPDATE grants SET available = grants.available - take, held = grants.held + take WHERE id = g.id;
      UPDATE wallets SET available = wallets.available - take, held = wallets.held + take, revision = wallets.revision + 1
       WHERE id = w.id RETURNING * INTO w;
      INSERT INTO hold_draws (hold_id, line, part, wallet_id, grant_id, held) VALUES (p_hold, n, k, w.id, g.id, take);
      INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, balance_after, revision, hold_id, user_id, description)
        VALUES (uuid_v7(), p_account, w.id, g.id, 'hold', -take, w.available, w.revision, p_hold, p_user, p_description);
    END LOOP;
    IF need > 0 THEN
      RAISE EXCEPTION 'the grants of wallet % are worth less than its balance', w.id USING ERRCODE = 'LQ002';
    END IF;
    IF l.meter = 'credits' THEN
      credits_held := l.need; available := w.available; held := w.held; revision := w.revision;
    END IF;
  END LOOP;
  RETURN NEXT;
END $$;

-- Resolves a hold exactly once: `settled` to what each meter really used (`{"credits": n}`), or `released`. What
-- exceeds the hold is booked as our overrun. No row: somebody else resolved it.
CREATE FUNCTION ledger_settle(p_hold uuid, p_state text, p_actual jsonb, p_user uuid, p_description text)
RETURNS TABLE (credits_charged bigint, available bigint, held bigint, revision bigint) LANGUAGE plpgsql AS $$
DECLARE
  a record; d record; h holds; w wallets;
  line smallint := 0; rest bigint := 0; pay bigint; over bigint := 0;
BEGIN
  UPDATE holds SET state = p_state, resolved_at = loquent_now() WHERE id = p_hold AND state = 'open' RETURNING * INTO h;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  credits_charged := 0;
  -- All of it is overrun until a held part pays for it; what was held for nothing can be exceeded too.
  FOR a IN SELECT key AS meter, value::bigint AS amount FROM jsonb_each_text(p_actual) WHERE p_state = 'settled' LOOP
    IF a.amount < 0 THEN
      RAISE EXCEPTION 'negative usage of %', a.meter USING ERRCODE = 'LQ002';
    END IF;
    over := over + a.amount;
  END LOOP;
  PERFORM 1 FROM wallets WHERE account_id = h.account_id ORDER BY meter FOR UPDATE;
  SELECT wallets.available, wallets.held, wallets.revision INTO available, held, revision
    FROM wallets WHERE account_id = h.account_id AND meter = 'credits';
  FOR d IN SELECT hold_draws.*, wallets.meter FROM hold_draws JOIN wallets ON wallets.id = hold_draws.wallet_id
            WHERE hold_id = p_hold ORDER BY hold_draws.line, hold_draws.part LOOP
    IF d.line <> line THEN
      line := d.line;
      rest := CASE WHEN p_state = 'settled' THEN coalesce((p_actual->>d.meter)::bigint, 0) ELSE 0 END;
    END IF;
    pay := least(rest, d.held); rest := rest - pay; over := over - pay;
    UPDATE hold_draws SET spent = pay WHERE hold_id = p_hold AND hold_draws.line = d.line AND part = d.part;
    UPDATE grants SET held = grants.held - d.held, spent = grants.spent + pay, available = grants.available + d.held - pay
     WHERE id = d.grant_id;
    UPDATE wallets SET held = wallets.held - d.held, available = wallets.available + d.held - pay, revision = wallets.revision + 1
     WHERE id = d.wallet_id RETURNING * INTO w;
    INSERT INTO ledger_entries (id, account_id, wallet_id, grant_id, kind, amount, spent, balance_after, revision, hold_id, user_id, description)
      VALUES (uuid_v7(), h.account_id, w.id, d.grant_id, CASE p_state WHEN 'settled' THEN 'settle' ELSE 'release' END,
              d.held - pay, pay, w.available, w.revision, p_hold, p_user, p_description);
    IF w.meter = 'credits' THEN
      credits_charged := credits_charged + pay; available := w.available; held := w.held; revision := w.revision;
    END IF;
  END LOOP;
  IF over > 0 THEN
    UPDATE holds SET overrun = over WHERE id = p_hold;
  END IF;
  RETURN NEXT;
END $$;
