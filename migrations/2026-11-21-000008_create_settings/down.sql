DROP TABLE settings;
DROP TABLE revocations;
DROP TABLE cache_epochs;
