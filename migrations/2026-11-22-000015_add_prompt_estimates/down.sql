ALTER TABLE generations DROP COLUMN estimated_input_tokens;
