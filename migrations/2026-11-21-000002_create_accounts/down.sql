DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE members;
DROP TABLE accounts;
DROP TABLE users;
