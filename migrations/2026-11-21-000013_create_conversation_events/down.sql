DROP FUNCTION prune_conversation_events();
DROP TABLE conversation_events;
DROP FUNCTION conversation_event_slot(timestamptz);
