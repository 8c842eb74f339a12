DROP FUNCTION rotate_stream_log(interval);
DROP VIEW ledger_differences;
DROP TABLE stream_rotations;
DROP TABLE stream_events;
DROP TABLE generations;
DROP TABLE messages;
DROP TABLE conversations;
