-- Which plan an account has, in which version, and which period it is in. A row is the lock of all that changes it; who
-- needs wallets too locks them after it, by meter.
CREATE TABLE subscriptions (
  id uuid CONSTRAINT subscriptions_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT subscriptions_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  plan_id uuid NOT NULL CONSTRAINT subscriptions_plan_id_fkey REFERENCES plans,   -- a version, kept until renewal
  next_plan_id uuid CONSTRAINT subscriptions_next_plan_id_fkey REFERENCES plans,  -- takes over when the period ends
  reverts_to_plan_id uuid CONSTRAINT subscriptions_reverts_to_plan_id_fkey REFERENCES plans,  -- the plan in force is on loan
  reverts_at timestamptz,
  anchor_at timestamptz NOT NULL,                          -- periods are months from here: Jan 31, Feb 28, Mar 31
  period int NOT NULL DEFAULT 0,                           -- number of the current one
  period_started_at timestamptz NOT NULL,
  period_ends_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL GENERATED ALWAYS AS (least(period_ends_at, reverts_at)) STORED,
  revision bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  ended_at timestamptz,
  CONSTRAINT subscriptions_period_check CHECK (period >= 0),
  CONSTRAINT subscriptions_period_ends_at_check CHECK (period_ends_at > period_started_at AND period_started_at >= anchor_at),
  CONSTRAINT subscriptions_reverts_at_check CHECK ((reverts_at IS NULL) = (reverts_to_plan_id IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX subscriptions_account_id_idx ON subscriptions (account_id);
CREATE UNIQUE INDEX subscriptions_account_id_live_key ON subscriptions (account_id) WHERE ended_at IS NULL;
CREATE INDEX subscriptions_due_at_idx ON subscriptions (due_at) WHERE ended_at IS NULL;

-- The history: each plan that took the place of another, and each wish for the end of a period.
CREATE TABLE subscription_changes (
  id uuid CONSTRAINT subscription_changes_pkey PRIMARY KEY,
  subscription_id uuid NOT NULL CONSTRAINT subscription_changes_subscription_id_fkey REFERENCES subscriptions ON DELETE CASCADE,
  from_plan_id uuid NOT NULL CONSTRAINT subscription_changes_from_plan_id_fkey REFERENCES plans,
  to_plan_id uuid NOT NULL CONSTRAINT subscription_changes_to_plan_id_fkey REFERENCES plans,
  cause text NOT NULL,
  reason text,                                             -- in the words of whoever asked
  requested_by uuid,                                       -- null: a command, a payment or the clock
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT subscription_changes_cause_check CHECK (cause IN ('change', 'scheduled', 'administrator', 'renewal', 'reversion'))
);
CREATE INDEX subscription_changes_subscription_id_idx ON subscription_changes (subscription_id, created_at);

-- What administrators gave and took, and why. Booked by `ledger_adjust` under the same id.
CREATE TABLE credit_adjustments (
  id uuid CONSTRAINT credit_adjustments_pkey PRIMARY KEY,
  account_id uuid NOT NULL CONSTRAINT credit_adjustments_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  amount bigint NOT NULL,                                  -- as asked; what was taken may be less
  booked bigint NOT NULL,                                  -- what became available, or stopped being so
  expires_at timestamptz,
  reason text NOT NULL,
  status text NOT NULL,
  requested_by uuid,                                       -- null: a command
  key text NOT NULL,                                       -- of the intent, so that a repeat books nothing
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT credit_adjustments_requested_by_key_key UNIQUE NULLS NOT DISTINCT (requested_by, key),
  CONSTRAINT credit_adjustments_amount_check CHECK (amount <> 0),
  CONSTRAINT credit_adjustments_booked_check CHECK (booked BETWEEN least(amount, 0) AND greatest(amount, 0)),
  CONSTRAINT credit_adjustments_expires_at_check CHECK (expires_at IS NULL OR amount > 0),
  CONSTRAINT credit_adjustments_status_check CHECK (status IN ('applied'))
);
CREATE INDEX credit_adjustments_account_id_idx ON credit_adjustments (account_id, created_at);

-- What expires between two periods is found by its time.
CREATE INDEX grants_expires_at_idx ON grants (expires_at) WHERE expires_at < 'infinity';
