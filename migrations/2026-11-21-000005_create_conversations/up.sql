CREATE TABLE conversations (
  id uuid CONSTRAINT conversations_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT conversations_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  created_by uuid NOT NULL CONSTRAINT conversations_created_by_fkey REFERENCES users ON DELETE CASCADE,
  title text,
  system_prompt text,
  model_key text,
  head_id uuid,                                            -- last message of the branch shown
  message_count int NOT NULL DEFAULT 0,
  event_sequence int NOT NULL DEFAULT 0,                   -- of the newest entry of its log
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  updated_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT conversations_account_id_id_key UNIQUE (account_id, id)
) WITH (fillfactor = 80);
CREATE INDEX conversations_list_idx ON conversations (account_id, created_by, updated_at DESC, id DESC);

-- A tree by parent_id, several first messages being several trees. `depth` and `jump_id`, an ancestor further up, never
-- change: they lead from a message to any ancestor in few steps, however long the branch. `parts` is the content of a
-- finished message; while an answer is being written its text is in stream_events alone. Partitioned by month over the
-- version 7 id.
CREATE TABLE messages (
  id uuid NOT NULL,
  account_id uuid NOT NULL,
  conversation_id uuid,                                    -- null of a one-shot answer, which is kept for a day
  parent_id uuid,
  depth int NOT NULL DEFAULT 0,                            -- messages before it on its branch
  jump_id uuid,
  jump_depth int NOT NULL DEFAULT 0,
  role text NOT NULL,
  author_id uuid,
  status text NOT NULL,
  parts jsonb NOT NULL DEFAULT '[]',
  stream_sequence int NOT NULL DEFAULT 0,                  -- written at the end: the number of its terminal event
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  edited_at timestamptz,
  CONSTRAINT messages_pkey PRIMARY KEY (id),
  CONSTRAINT messages_depth_check CHECK ((depth = 0) = (parent_id IS NULL) AND jump_depth <= depth),
  CONSTRAINT messages_conversation_id_fkey FOREIGN KEY (account_id, conversation_id)
    REFERENCES conversations (account_id, id) ON DELETE CASCADE,
  CONSTRAINT messages_role_check CHECK (role IN ('user', 'assistant', 'system')),
  CONSTRAINT messages_status_check
    CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'canceled', 'interrupted', 'expired'))
) PARTITION BY RANGE (id);
CREATE INDEX messages_conversation_id_idx ON messages (conversation_id, id);
CREATE INDEX messages_parent_id_idx ON messages (parent_id, conversation_id);   -- alternatives; first messages have no parent
CREATE INDEX messages_one_shot_idx ON messages (created_at) WHERE conversation_id IS NULL;
ALTER TABLE messages ADD CONSTRAINT messages_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES messages (id) ON DELETE CASCADE;
CREATE TABLE messages_default PARTITION OF messages DEFAULT;   -- stays empty: partitions are made months ahead
SELECT ensure_month_partitions('messages', 2);

-- One run of a model. Unfinished while finished_at is null; it becomes terminal exactly once, in the statement that also
-- resolves its hold (which has the same id).
CREATE TABLE generations (
  id uuid CONSTRAINT generations_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT generations_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT generations_user_id_fkey REFERENCES users ON DELETE CASCADE,
  conversation_id uuid CONSTRAINT generations_conversation_id_fkey REFERENCES conversations ON DELETE SET NULL,
  message_id uuid CONSTRAINT generations_message_id_fkey REFERENCES messages ON DELETE SET NULL,
  replica_id uuid NOT NULL,                                -- owner; the lease of the owner is the lease of the run
  status text NOT NULL DEFAULT 'queued',
  requested_model text NOT NULL,
  model_key text NOT NULL,
  terms jsonb NOT NULL,                                    -- prices, prompt estimate and what was held: settles without the process
  is_output_capped boolean NOT NULL DEFAULT false,
  stop_requested_at timestamptz,
  finish_reason text,
  error_code text,
  error_message text,
  is_retryable boolean,                                    -- whether the same request may succeed, of a failed run
  retry_after_seconds int,
  input_tokens int,
  cached_input_tokens int,
  cache_write_tokens int,
  output_tokens int,
  reasoning_tokens int,
  usage_source text,
  credits_held bigint NOT NULL,                            -- when it began; returned at the end
  credits_charged bigint,
  revision int NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  first_output_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT generations_status_check
    CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'canceled', 'interrupted', 'expired')),
  CONSTRAINT generations_finished_at_check CHECK (
    (finished_at IS NULL) = (status IN ('queued', 'running', 'waiting')) AND (finished_at IS NULL) = (credits_charged IS NULL)),
  CONSTRAINT generations_usage_source_check CHECK (usage_source IN ('provider', 'estimated', 'mixed'))
) WITH (fillfactor = 80);
CREATE INDEX generations_message_id_idx ON generations (message_id);
CREATE INDEX generations_conversation_id_idx ON generations (conversation_id);
CREATE INDEX generations_account_id_idx ON generations (account_id, id);
CREATE INDEX generations_unfinished_idx ON generations (replica_id) WHERE finished_at IS NULL;

-- The stream log: what was said while it was being said, committed before anybody saw it. A ring of four slots; the
-- oldest is truncated when the ring turns, so nothing is deleted row by row and nothing needs vacuum.
CREATE TABLE stream_events (
  slot smallint NOT NULL,
  message_id uuid NOT NULL,
  sequence int NOT NULL,
  part_index smallint NOT NULL,
  kind text NOT NULL,
  text text NOT NULL,
  CONSTRAINT stream_events_pkey PRIMARY KEY (message_id, sequence, slot),
  CONSTRAINT stream_events_kind_check CHECK (kind IN ('text', 'reasoning')),
  CONSTRAINT stream_events_sequence_check CHECK (sequence > 0)
) PARTITION BY LIST (slot);
CREATE TABLE stream_events_0 PARTITION OF stream_events FOR VALUES IN (0) WITH (autovacuum_enabled = off);
CREATE TABLE stream_events_1 PARTITION OF stream_events FOR VALUES IN (1) WITH (autovacuum_enabled = off);
CREATE TABLE stream_events_2 PARTITION OF stream_events FOR VALUES IN (2) WITH (autovacuum_enabled = off);
CREATE TABLE stream_events_3 PARTITION OF stream_events FOR VALUES IN (3) WITH (autovacuum_enabled = off);
CREATE TABLE stream_rotations (
  id boolean CONSTRAINT stream_rotations_pkey PRIMARY KEY DEFAULT true,
  slot smallint NOT NULL DEFAULT 0,
  rotated_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT stream_rotations_id_check CHECK (id)
);
INSERT INTO stream_rotations DEFAULT VALUES;

-- The checker: every row is drift, `subject` says where. It reads the books against each other and against the work they
-- paid for, and trusts no running total.
CREATE VIEW ledger_differences AS
WITH movements AS (
  SELECT grant_id, sum(amount) AS available,
         sum(CASE kind WHEN 'hold' THEN -amount WHEN 'settle' THEN -amount - spent WHEN 'release' THEN -amount ELSE 0 END) AS held,
         sum(spent) AS spent, -sum(amount) FILTER (WHERE kind = 'expire') AS expired,
         -sum(amount) FILTER (WHERE taking_id IS NOT NULL) AS revoked,
         sum(amount) FILTER (WHERE kind = 'grant' OR (kind = 'adjust' AND amount > 0)) AS granted
    FROM ledger_entries GROUP BY grant_id),
chain AS (
  SELECT wallet_id, id, revision, balance_after, amount,
         row_number() OVER w AS position, sum(amount) OVER w AS running
    FROM ledger_entries WINDOW w AS (PARTITION BY wallet_id ORDER BY revision)),
hold_totals AS (
  SELECT h.id, h.state, h.account_id, d.held, d.spent, d.credits_held, e.held AS entry_held, e.settled, e.credits_settled, e.refunded, e.resolutions
    FROM holds h
    LEFT JOIN (SELECT hold_id, sum(held) AS held, sum(spent) AS spent, sum(held) FILTER (WHERE meter = 'credits') AS credits_held
                 FROM hold_draws WHERE grant_id IS NOT NULL GROUP BY 1) d ON d.hold_id = h.id
    LEFT JOIN (SELECT hold_id, -sum(amount) FILTER (WHERE kind = 'hold') AS held, sum(spent) FILTER (WHERE kind IN ('settle', 'release')) AS settled,
                      sum(spent) FILTER (WHERE kind = 'settle' AND meter = 'credits') AS credits_settled, -sum(spent) FILTER (WHERE kind = 'refund') AS refunded,
                      count(DISTINCT kind) FILTER (WHERE kind IN ('settle', 'release')) AS resolutions
                 FROM ledger_entries JOIN wallets ON wallets.id = wallet_id GROUP BY 1) e ON e.hold_id = h.id),
-- What the provider counted, each kind of token at its price in the terms of the call. Costs that are not known are none.
counted AS (
  SELECT g.id, t.credits, t.tokens, t.cost FROM generations g, LATERAL (
    SELECT ceil_mega(sum(k.tokens * (g.terms->>k.kind)::numeric)) AS credits, sum(k.tokens) AS tokens,
           coalesce(ceil_mega(sum(k.tokens * (g.terms->'costs'->>k.kind)::numeric)), 0) AS cost
      FROM (VALUES ('input', coalesce(g.input_tokens, 0)::numeric), ('cached_input', coalesce(g.cached_input_tokens, 0)),
                   ('cache_write', coalesce(g.cache_write_tokens, 0)), ('output', coalesce(g.output_tokens, 0)),
                   ('reasoning', coalesce(g.reasoning_tokens, 0))) AS k(kind, tokens)) t),
draw_lines AS (
  SELECT d.hold_id, d.line, d.meter, q.window_kind, sum(d.held) AS held, sum(d.spent) AS spent, count(*) FILTER (WHERE d.spent IS NULL) AS unspent
    FROM hold_draws d LEFT JOIN quota_counters q ON q.id = d.counter_id GROUP BY 1, 2, 3, 4),
counter_totals AS (
  SELECT d.counter_id, d.slot, d.window_started_at, sum(d.held) FILTER (WHERE h.state = 'open') AS held, sum(d.spent) FILTER (WHERE h.state = 'settled') AS spent
    FROM hold_draws d JOIN holds h ON h.id = d.hold_id WHERE d.grant_id IS NULL GROUP BY 1, 2, 3)
SELECT 'grant_differs_from_entries' AS problem, g.id AS subject FROM grants g LEFT JOIN movements m ON m.grant_id = g.id
 WHERE (g.available, g.held, g.spent, g.expired, g.revoked, g.amount) IS DISTINCT FROM (coalesce(m.available, 0), coalesce(m.held, 0),
        coalesce(m.spent, 0), coalesce(m.expired, 0), coalesce(m.revoked, 0), coalesce(m.granted, 0))
UNION ALL
SELECT 'expired_too_early', e.id FROM ledger_entries e JOIN grants g ON g.id = e.grant_id WHERE e.kind = 'expire' AND e.created_at < g.expires_at
UNION ALL
SELECT 'taking_differs_from_entries', t.id FROM ledger_takings t
 WHERE t.taken <> (SELECT coalesce(-sum(e.amount), 0) FROM ledger_entries e WHERE e.taking_id = t.id AND e.wallet_id = t.wallet_id
                      AND (t.grant_id IS NULL OR e.grant_id = t.grant_id))
UNION ALL
SELECT 'counter_differs_from_draws', q.id FROM quota_counters q
  LEFT JOIN counter_totals t ON t.counter_id = q.id AND t.window_started_at IS NOT DISTINCT FROM q.window_started_at
 WHERE q.held <> coalesce(t.held, 0)
    OR q.used <> CASE WHEN q.window_kind IN ('minute', 'hour', 'none') THEN 0 ELSE coalesce(t.spent, 0) END
UNION ALL
-- The subject is the day, as the smallest id of its first instant.
SELECT 'deployment_differs_from_draws', uuid_v7_floor(coalesce(y.started_at, t.window_started_at)) FROM deployment_days y
  FULL JOIN (SELECT slot, window_started_at, held, spent FROM counter_totals WHERE slot IS NOT NULL) t
    ON t.slot = y.slot AND t.window_started_at = y.started_at
 WHERE (y.held, y.used) IS DISTINCT FROM (coalesce(t.held, 0), coalesce(t.spent, 0))
UNION ALL
SELECT 'draw_differs_from_usage', h.id FROM holds h JOIN draw_lines l ON l.hold_id = h.id LEFT JOIN counted c ON c.id = h.id
 WHERE (h.state = 'open') <> (l.unspent > 0)
    OR (h.state = 'released' AND l.spent <> 0)
    OR (h.state IN ('settled', 'refunded') AND (c.id IS NOT NULL OR h.purpose = 'conversation') AND l.spent <> CASE
          WHEN l.window_kind = 'none' THEN 0
          WHEN l.meter = 'credits' THEN least(l.held, c.credits)
          WHEN l.meter = 'tokens' THEN least(l.held, c.tokens)
          WHEN l.meter = 'cost' THEN least(l.held, c.cost)
          ELSE l.held END)
UNION ALL
SELECT 'wallet_differs_from_grants', w.id FROM wallets w
  LEFT JOIN (SELECT wallet_id, sum(available) AS available, sum(held) AS held FROM grants GROUP BY 1) g ON g.wallet_id = w.id
 WHERE (w.available, w.held) IS DISTINCT FROM (coalesce(g.available, 0), coalesce(g.held, 0))
UNION ALL
SELECT 'held_differs_from_open_holds', g.id FROM grants g
 WHERE g.held <> (SELECT coalesce(sum(d.held), 0) FROM hold_draws d JOIN holds h ON h.id = d.hold_id WHERE d.grant_id = g.id AND h.state = 'open')
UNION ALL
SELECT 'entry_chain_broken', id FROM chain WHERE position <> revision OR running <> balance_after
UNION ALL
SELECT 'wallet_revision_differs', w.id FROM wallets w WHERE w.revision <> (SELECT count(*) FROM ledger_entries e WHERE e.wallet_id = w.id)
UNION ALL
SELECT 'entry_in_foreign_wallet', e.id FROM ledger_entries e JOIN wallets w ON w.id = e.wallet_id JOIN grants g ON g.id = e.grant_id
 WHERE e.account_id <> w.account_id OR g.wallet_id <> e.wallet_id
UNION ALL
SELECT 'hold_differs_from_entries', id FROM hold_totals
 WHERE coalesce(held, 0) <> coalesce(entry_held, 0)
    OR (state IN ('settled', 'refunded') AND coalesce(spent, 0) <> coalesce(settled, 0))
    OR (state = 'released' AND coalesce(settled, 0) <> 0)
    OR (state = 'open' AND coalesce(resolutions, 0) <> 0)
    OR (state <> 'open' AND held > 0 AND coalesce(resolutions, 0) <> 1)
    OR coalesce(refunded, 0) <> CASE state WHEN 'refunded' THEN coalesce(settled, 0) ELSE 0 END
UNION ALL
SELECT 'hold_without_generation', h.id FROM holds h LEFT JOIN generations g ON g.id = h.id
 WHERE h.purpose = 'generation' AND (g.id IS NULL OR g.account_id <> h.account_id)
UNION ALL
SELECT 'generation_without_hold', g.id FROM generations g LEFT JOIN holds h ON h.id = g.id AND h.purpose = 'generation' WHERE h.id IS NULL
UNION ALL
-- Counted and done with in one transaction; the conversation may be gone since. Nothing but conversations is counted.
SELECT 'conversation_counted_wrongly', h.id FROM holds h LEFT JOIN conversations c ON c.id = h.id
 WHERE h.purpose = 'conversation' AND (
       h.state NOT IN ('settled', 'refunded') OR h.units <> 0 OR h.overrun <> 0 OR c.account_id <> h.account_id
    OR NOT EXISTS (SELECT FROM hold_draws d WHERE d.hold_id = h.id)
    OR EXISTS (SELECT FROM hold_draws d WHERE d.hold_id = h.id AND (d.meter <> 'conversations' OR d.counter_id IS NULL OR d.held <> 1)))
UNION ALL
SELECT 'hold_and_generation_disagree', g.id FROM generations g JOIN holds h ON h.id = g.id
 WHERE (h.state = 'open') <> (g.finished_at IS NULL)
UNION ALL
SELECT 'charge_differs_from_ledger', g.id FROM generations g JOIN hold_totals t ON t.id = g.id
 WHERE g.credits_held <> coalesce(t.credits_held, 0) OR (g.finished_at IS NOT NULL AND g.credits_charged <> coalesce(t.credits_settled, 0))
UNION ALL
SELECT 'charge_differs_from_usage', g.id FROM generations g JOIN holds h ON h.id = g.id JOIN counted c ON c.id = g.id
 WHERE h.state IN ('settled', 'refunded') AND (g.credits_charged <> least(g.credits_held, c.credits)
    OR h.overrun <> greatest(0, c.credits - coalesce((SELECT max(l.held) FROM draw_lines l WHERE l.hold_id = h.id AND l.meter = 'credits'), 0)))
UNION ALL
SELECT 'message_and_generation_disagree', m.id FROM messages m JOIN generations g ON g.message_id = m.id WHERE m.status <> g.status
UNION ALL
SELECT 'unfinished_message_without_generation', m.id FROM messages m
 WHERE m.role = 'assistant' AND m.status IN ('queued', 'running') AND NOT EXISTS (SELECT FROM generations g WHERE g.message_id = m.id)
UNION ALL
SELECT 'hold_of_a_dead_process', h.id FROM holds h JOIN generations g ON g.id = h.id LEFT JOIN replicas r ON r.id = g.replica_id
 WHERE h.state = 'open' AND coalesce(r.lease_until, '-infinity') < loquent_now() - interval '60 seconds';

-- Turns the ring of the stream log when its slot is older than `every`: empties the oldest slot and writes there next.
-- False when it was not due, or somebody else does it.
CREATE FUNCTION rotate_stream_log(every interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE next_slot smallint;
BEGIN
  SELECT (slot + 1) % 4 INTO next_slot FROM stream_rotations WHERE rotated_at < loquent_now() - every FOR UPDATE SKIP LOCKED;
  IF next_slot IS NULL THEN
    RETURN false;
  END IF;
  SET LOCAL lock_timeout = '200ms';
  EXECUTE format('TRUNCATE stream_events_%s', next_slot);
  UPDATE stream_rotations SET slot = next_slot, rotated_at = loquent_now();
  RETURN true;
END $$;
