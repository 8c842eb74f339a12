-- The release before knows no one-shot answers and would show them to nobody.
DELETE FROM messages WHERE conversation_id IS NULL;
ALTER TABLE messages DROP COLUMN owner_id;
