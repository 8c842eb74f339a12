-- Whose a one-shot answer is: it is in no conversation that could say so, and leaves with its person's place in the account.
ALTER TABLE messages
  ADD COLUMN owner_id uuid,
  ADD CONSTRAINT messages_owner_id_check CHECK ((owner_id IS NULL) = (conversation_id IS NOT NULL)),
  ADD CONSTRAINT messages_owner_id_fkey FOREIGN KEY (account_id, owner_id)
    REFERENCES members (account_id, user_id) ON DELETE CASCADE;
CREATE INDEX messages_owner_id_idx ON messages (owner_id, account_id) WHERE owner_id IS NOT NULL;
