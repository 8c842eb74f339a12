DROP TABLE replicas;
DROP TABLE idempotency_keys;
DROP FUNCTION require_moved(boolean, text);
DROP FUNCTION forbid_change();
DROP FUNCTION ensure_month_partitions(regclass, int);
DROP FUNCTION uuid_v7_floor(timestamptz);
DROP FUNCTION uuid_v7();
DROP FUNCTION loquent_now();
