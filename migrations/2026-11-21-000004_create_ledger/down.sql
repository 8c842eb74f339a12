DROP FUNCTION ledger_settle(uuid, text, jsonb, uuid, text);
DROP FUNCTION ledger_hold(uuid, uuid, text, bigint, bigint, jsonb, uuid, text);
DROP FUNCTION ledger_grant(uuid, uuid, text, text, text, bigint, smallint, uuid, text);
DROP FUNCTION ceil_mega(numeric);
DROP TABLE ledger_entries;
DROP TABLE hold_draws;
DROP TABLE holds;
DROP TABLE grants;
DROP TABLE wallets;
