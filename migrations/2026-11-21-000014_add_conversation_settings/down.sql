ALTER TABLE generations DROP COLUMN purpose;
ALTER TABLE conversations DROP COLUMN title_state;
DROP INDEX conversations_starred_idx;
DROP INDEX conversations_archived_idx;
DROP INDEX conversations_open_idx;
ALTER TABLE conversations
  DROP COLUMN tags,
  DROP COLUMN archived_at,
  DROP COLUMN is_starred,
  DROP COLUMN options;
