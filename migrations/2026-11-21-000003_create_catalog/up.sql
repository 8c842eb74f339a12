-- Offer: the code knows what a plan grants, never its name.
CREATE TABLE plans (
  id uuid CONSTRAINT plans_pkey PRIMARY KEY,
  key text NOT NULL CONSTRAINT plans_key_key UNIQUE,
  name text NOT NULL,
  is_default boolean NOT NULL DEFAULT false,
  credits bigint NOT NULL,                                 -- micro-credits granted at sign-up
  min_output_tokens int NOT NULL,                          -- a call that cannot pay for this many is refused
  version int NOT NULL DEFAULT 1,
  CONSTRAINT plans_credits_check CHECK (credits >= 0),
  CONSTRAINT plans_min_output_tokens_check CHECK (min_output_tokens > 0)
);
CREATE UNIQUE INDEX plans_is_default_key ON plans (is_default) WHERE is_default;

CREATE TABLE models (
  id uuid CONSTRAINT models_pkey PRIMARY KEY,
  key text NOT NULL CONSTRAINT models_key_key UNIQUE,
  name text NOT NULL,
  provider text NOT NULL,
  upstream_name text NOT NULL,
  context_tokens int NOT NULL,
  max_output_tokens int NOT NULL,
  is_enabled boolean NOT NULL DEFAULT true,
  CONSTRAINT models_context_tokens_check CHECK (context_tokens > 0),
  CONSTRAINT models_max_output_tokens_check CHECK (max_output_tokens > 0)
);

-- Dated price book: the row without an end is in force. Micro-units per 1,000,000 tokens.
CREATE TABLE model_prices (
  id uuid CONSTRAINT model_prices_pkey PRIMARY KEY,
  model_id uuid NOT NULL CONSTRAINT model_prices_model_id_fkey REFERENCES models ON DELETE CASCADE,
  unit text NOT NULL,
  credits bigint NOT NULL,
  cost bigint,                                             -- provider price in micro US dollars, when known
  valid_from timestamptz NOT NULL DEFAULT loquent_now(),
  valid_to timestamptz,
  CONSTRAINT model_prices_unit_check CHECK (unit IN ('input_token', 'cached_input_token', 'output_token')),
  CONSTRAINT model_prices_credits_check CHECK (credits BETWEEN 0 AND 10000000000000),
  CONSTRAINT model_prices_cost_check CHECK (cost BETWEEN 0 AND 10000000000000),
  CONSTRAINT model_prices_valid_to_check CHECK (valid_to >= valid_from)
);
CREATE UNIQUE INDEX model_prices_open_key ON model_prices (model_id, unit) WHERE valid_to IS NULL;
