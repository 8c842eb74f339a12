CREATE TABLE users (
  id uuid CONSTRAINT users_pkey PRIMARY KEY,
  email text NOT NULL CONSTRAINT users_email_key UNIQUE,
  name text NOT NULL,
  password_hash text NOT NULL,                             -- argon2id in PHC form
  role text NOT NULL DEFAULT 'user',
  status text NOT NULL DEFAULT 'active',
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT users_email_check CHECK (email = lower(email) AND length(email) <= 254),
  CONSTRAINT users_role_check CHECK (role IN ('user', 'admin')),
  CONSTRAINT users_status_check CHECK (status IN ('active', 'unverified', 'suspended', 'banned', 'closing'))
);

-- Unit of isolation and of payment: owns conversations and credits.
CREATE TABLE accounts (
  id uuid CONSTRAINT accounts_pkey PRIMARY KEY,
  kind text NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT accounts_kind_check CHECK (kind IN ('personal', 'team'))
);

-- Right of a person to act in an account; a personal account has one row too.
CREATE TABLE members (
  account_id uuid NOT NULL CONSTRAINT members_account_id_fkey REFERENCES accounts ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT members_user_id_fkey REFERENCES users ON DELETE CASCADE,
  role text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT members_pkey PRIMARY KEY (account_id, user_id),
  CONSTRAINT members_role_check CHECK (role IN ('owner', 'admin', 'member', 'reader'))
);
CREATE INDEX members_user_id_idx ON members (user_id);

-- One signed-in device: a family of refresh tokens. Every refresh locks this row first, so that revoking and
-- rotating cannot cross.
CREATE TABLE sessions (
  id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES users ON DELETE CASCADE,
  user_agent text,
  ip_address text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  last_used_at timestamptz NOT NULL DEFAULT loquent_now(),
  expires_at timestamptz NOT NULL,                         -- end of the family, however often it is renewed
  revoked_at timestamptz,
  revoke_reason text,
  CONSTRAINT sessions_revoke_reason_check CHECK (revoke_reason IN ('sign_out', 'reuse')),
  CONSTRAINT sessions_revoked_at_check CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id) WHERE revoked_at IS NULL;

CREATE TABLE refresh_tokens (
  token_hash bytea CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
  session_id uuid NOT NULL CONSTRAINT refresh_tokens_session_id_fkey REFERENCES sessions ON DELETE CASCADE,
  generation int NOT NULL,                                 -- 0, 1, 2 and so on inside the family
  issued_at timestamptz NOT NULL DEFAULT loquent_now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  successor_hash bytea,
  successor_sealed bytea,                                  -- the child, encrypted: the answer to a repeat within the grace
  CONSTRAINT refresh_tokens_session_id_generation_key UNIQUE (session_id, generation),
  CONSTRAINT refresh_tokens_token_hash_check CHECK (length(token_hash) = 32),
  CONSTRAINT refresh_tokens_used_at_check CHECK ((used_at IS NULL) = (successor_hash IS NULL))
);
