DROP FUNCTION rate_spend(text, int, int, int, int, interval);
DROP FUNCTION rate_take(text, int, int, interval);
DROP FUNCTION rate_lock(text);
DROP TABLE rate_limits;
