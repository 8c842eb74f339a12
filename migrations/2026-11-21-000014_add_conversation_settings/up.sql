-- How people keep their conversations, and what answers in them are made with when a message says nothing else.
ALTER TABLE conversations
  ADD COLUMN options jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN is_starred boolean NOT NULL DEFAULT false,
  ADD COLUMN archived_at timestamptz,
  ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
  ADD CONSTRAINT conversations_options_check CHECK (jsonb_typeof(options) = 'object'),
  ADD CONSTRAINT conversations_tags_check CHECK (cardinality(tags) <= 20 AND array_position(tags, NULL) IS NULL);

-- Pages of what is usually asked for, each read where it begins, whatever else the account has. Labels and words of titles
-- choose among what these indexes bring: one person's conversations in one account.
CREATE INDEX conversations_open_idx ON conversations (account_id, created_by, updated_at DESC, id DESC) WHERE archived_at IS NULL;
CREATE INDEX conversations_archived_idx ON conversations (account_id, created_by, updated_at DESC, id DESC) WHERE archived_at IS NOT NULL;
CREATE INDEX conversations_starred_idx ON conversations (account_id, created_by, updated_at DESC, id DESC) WHERE is_starred;

-- Who makes the title. Open: nobody but the first message has; asked: one was asked of a model; given: a person or a model
-- has said it. What is there already may be of a person.
ALTER TABLE conversations
  ADD COLUMN title_state text NOT NULL DEFAULT 'open',
  ADD CONSTRAINT conversations_title_state_check CHECK (title_state IN ('open', 'asked', 'given'));
UPDATE conversations SET title_state = 'given' WHERE title IS NOT NULL;

-- What a run is for. One for a title writes no message.
ALTER TABLE generations
  ADD COLUMN purpose text NOT NULL DEFAULT 'answer',
  ADD CONSTRAINT generations_purpose_check CHECK (purpose IN ('answer', 'title'));
