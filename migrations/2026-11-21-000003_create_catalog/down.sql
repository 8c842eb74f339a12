DROP TABLE model_prices;
DROP TABLE models;
DROP TABLE plans;
DROP TABLE catalogs;
