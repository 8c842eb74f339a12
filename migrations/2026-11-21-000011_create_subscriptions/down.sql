DROP INDEX grants_expires_at_idx;
DROP TABLE credit_adjustments;
DROP TABLE subscription_changes;
DROP TABLE subscriptions;
