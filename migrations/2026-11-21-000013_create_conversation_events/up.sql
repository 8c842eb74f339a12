-- The log of each conversation: what happened, without the text being written and without contents, which readers read as
-- they are. Sequences grow by exactly 1; the statement that changes a conversation counts and writes them. A ring of four
-- slots of six hours by the clock; the one that comes next is emptied ahead of time, so at least half a day is kept.
CREATE TABLE conversation_events (
  slot smallint NOT NULL,
  conversation_id uuid NOT NULL,
  sequence int NOT NULL,
  kind text NOT NULL,
  message_id uuid,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT conversation_events_pkey PRIMARY KEY (conversation_id, sequence, slot),
  CONSTRAINT conversation_events_kind_check CHECK (kind IN ('conversation', 'message', 'message_deleted')),
  CONSTRAINT conversation_events_message_id_check CHECK ((message_id IS NULL) = (kind = 'conversation'))
) PARTITION BY LIST (slot);
CREATE TABLE conversation_events_0 PARTITION OF conversation_events FOR VALUES IN (0) WITH (autovacuum_enabled = off);
CREATE TABLE conversation_events_1 PARTITION OF conversation_events FOR VALUES IN (1) WITH (autovacuum_enabled = off);
CREATE TABLE conversation_events_2 PARTITION OF conversation_events FOR VALUES IN (2) WITH (autovacuum_enabled = off);
CREATE TABLE conversation_events_3 PARTITION OF conversation_events FOR VALUES IN (3) WITH (autovacuum_enabled = off);

-- Where an event of this instant is written.
CREATE FUNCTION conversation_event_slot(at timestamptz) RETURNS smallint LANGUAGE sql STABLE AS $$
  SELECT (floor(extract(epoch FROM at) / 21600)::bigint % 4)::smallint $$;

-- Empties the slot that comes next, if there is anything in it.
CREATE FUNCTION prune_conversation_events() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  next_slot text := format('conversation_events_%s', (conversation_event_slot(loquent_now()) + 1) % 4);
  is_used boolean;
BEGIN
  EXECUTE format('SELECT EXISTS (SELECT FROM %I)', next_slot) INTO is_used;
  IF is_used THEN
    SET LOCAL lock_timeout = '200ms';
    EXECUTE format('TRUNCATE %I', next_slot);
  END IF;
END $$;
