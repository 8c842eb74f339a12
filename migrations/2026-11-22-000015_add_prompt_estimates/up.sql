-- What the prompt of a run was estimated at before its provider counted it. The comparison of both measures what follows in
-- the same conversation; 0 where it is not known.
ALTER TABLE generations
  ADD COLUMN estimated_input_tokens int NOT NULL DEFAULT 0,
  ADD CONSTRAINT generations_estimated_input_tokens_check CHECK (estimated_input_tokens >= 0);
