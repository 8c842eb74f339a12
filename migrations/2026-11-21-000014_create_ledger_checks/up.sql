-- When the books were checked, and how many differences there were: any process may have done it, and all show it.
CREATE TABLE ledger_checks (
  checked_at timestamptz CONSTRAINT ledger_checks_pkey PRIMARY KEY DEFAULT loquent_now(),
  differences bigint NOT NULL,
  CONSTRAINT ledger_checks_differences_check CHECK (differences >= 0)
);
