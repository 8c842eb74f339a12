-- Offer: the code knows what a plan grants, never its name.

-- One row each time the catalogue changed. The newest is in force; the others are history.
CREATE TABLE catalogs (
  version int CONSTRAINT catalogs_pkey PRIMARY KEY,
  source text NOT NULL,                                    -- where it came from, for people
  document text NOT NULL,                                  -- as the operator wrote it
  content jsonb NOT NULL,                                  -- what it says, with all that it extends
  applied_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT catalogs_version_check CHECK (version > 0)
);

-- One row each version of a plan, never changed but for whether it is offered: who has one keeps it until renewal.
CREATE TABLE plans (
  id uuid CONSTRAINT plans_pkey PRIMARY KEY,
  key text NOT NULL,
  version int NOT NULL,
  is_offered boolean NOT NULL,
  is_default boolean NOT NULL,
  position int NOT NULL,                                   -- order of those on offer
  content jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT plans_key_version_key UNIQUE (key, version),
  CONSTRAINT plans_version_check CHECK (version > 0),
  CONSTRAINT plans_is_default_check CHECK (is_offered OR NOT is_default)
);
CREATE UNIQUE INDEX plans_is_default_key ON plans (is_default) WHERE is_default;
CREATE UNIQUE INDEX plans_is_offered_key ON plans (key) WHERE is_offered;

CREATE TABLE models (
  id uuid CONSTRAINT models_pkey PRIMARY KEY,
  key text NOT NULL CONSTRAINT models_key_key UNIQUE,
  name text NOT NULL,
  aliases jsonb NOT NULL,                                  -- list of other keys
  provider text NOT NULL,
  upstream_name text NOT NULL,
  context_tokens int NOT NULL,
  max_output_tokens int NOT NULL,
  is_enabled boolean NOT NULL DEFAULT true,
  CONSTRAINT models_context_tokens_check CHECK (context_tokens > 0),
  CONSTRAINT models_max_output_tokens_check CHECK (max_output_tokens > 0)
);

-- Dated price book; rows that begin in the future are agreed and not yet in force. Micro-units per 1,000,000 tokens or
-- characters, and per one image or second.
CREATE TABLE model_prices (
  id uuid CONSTRAINT model_prices_pkey PRIMARY KEY,
  model_id uuid NOT NULL CONSTRAINT model_prices_model_id_fkey REFERENCES models ON DELETE CASCADE,
  unit text NOT NULL,
  credits bigint NOT NULL,
  cost bigint,                                             -- provider price in micro US dollars, when known
  valid_from timestamptz NOT NULL DEFAULT loquent_now(),
  valid_to timestamptz,
  CONSTRAINT model_prices_unit_check CHECK (unit IN
    ('input_token', 'cached_input_token', 'cache_write_token', 'output_token', 'reasoning_token', 'image', 'character', 'second')),
  CONSTRAINT model_prices_credits_check CHECK (credits BETWEEN 0 AND 10000000000000),
  CONSTRAINT model_prices_cost_check CHECK (cost BETWEEN 0 AND 10000000000000),
  CONSTRAINT model_prices_valid_to_check CHECK (valid_to >= valid_from)
);
CREATE INDEX model_prices_model_id_idx ON model_prices (model_id);
CREATE UNIQUE INDEX model_prices_open_key ON model_prices (model_id, unit) WHERE valid_to IS NULL;
