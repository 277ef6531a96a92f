CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE lambda_functions (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	settings BLOB NOT NULL, 
	environment BLOB, 
	tags BLOB NOT NULL, 
	code_sha256 VARCHAR NOT NULL, 
	code_size INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	update_status VARCHAR NOT NULL, 
	revision_id VARCHAR NOT NULL, 
	generation VARCHAR NOT NULL, 
	modified_ms INTEGER NOT NULL, 
	reserved_concurrency INTEGER, 
	PRIMARY KEY (account, region, name)
);
CREATE INDEX lambda_functions_code ON lambda_functions (code_sha256);
INSERT INTO alembic_version (version_num) VALUES ('0006');
