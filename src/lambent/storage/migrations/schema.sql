CREATE TABLE account_aliases (
	account VARCHAR NOT NULL, 
	alias VARCHAR NOT NULL, 
	PRIMARY KEY (account), 
	UNIQUE (alias)
);
CREATE TABLE accounts (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	created INTEGER NOT NULL, 
	access_key_id VARCHAR NOT NULL, 
	secret BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE apigateway_accounts (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (account, region)
);
CREATE TABLE apigateway_apis (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE apigateway_deployments (
	api_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	created_s INTEGER NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (api_id, id)
);
CREATE TABLE apigateway_stages (
	api_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	deployment_id VARCHAR NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (api_id, name)
);
CREATE TABLE async_events (
	id INTEGER NOT NULL, 
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	qualifier VARCHAR NOT NULL, 
	accepted_at FLOAT NOT NULL, 
	due_at FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	event BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE http_api_deployments (
	api_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	auto_deployed INTEGER NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (api_id, id)
);
CREATE TABLE http_apis (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE iam_entities (
	account VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (account, kind, "key")
);
CREATE TABLE iam_key_uses (
	id VARCHAR NOT NULL, 
	used INTEGER NOT NULL, 
	service VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE iam_references (
	account VARCHAR NOT NULL, 
	relation VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	PRIMARY KEY (account, relation, target, id)
);
CREATE TABLE lambda_aliases (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	weights BLOB NOT NULL, 
	description VARCHAR NOT NULL, 
	revision_id VARCHAR NOT NULL, 
	PRIMARY KEY (account, region, function, name)
);
CREATE TABLE lambda_code_signing (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	config VARCHAR NOT NULL, 
	PRIMARY KEY (account, region, function)
);
CREATE TABLE lambda_code_signing_configs (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	description VARCHAR, 
	publishers BLOB NOT NULL, 
	policy VARCHAR NOT NULL, 
	tags BLOB NOT NULL, 
	modified_ms INTEGER NOT NULL, 
	PRIMARY KEY (account, region, id)
);
CREATE TABLE lambda_event_configs (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	qualifier VARCHAR NOT NULL, 
	settings BLOB NOT NULL, 
	modified_ms INTEGER NOT NULL, 
	PRIMARY KEY (account, region, function, qualifier)
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
	reserved_concurrency INTEGER, recursive_loop VARCHAR, 
	PRIMARY KEY (account, region, name)
);
CREATE TABLE lambda_layer_numbers (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	last INTEGER NOT NULL, 
	PRIMARY KEY (account, region, name)
);
CREATE TABLE lambda_layer_versions (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	description VARCHAR NOT NULL, 
	runtimes VARCHAR, 
	architectures VARCHAR, 
	license_info VARCHAR, 
	code_sha256 VARCHAR NOT NULL, 
	code_size INTEGER NOT NULL, 
	unzipped_size INTEGER NOT NULL, 
	created_ms INTEGER NOT NULL, 
	statements BLOB, 
	revision_id VARCHAR, 
	PRIMARY KEY (account, region, name, number)
);
CREATE TABLE lambda_policies (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	qualifier VARCHAR NOT NULL, 
	statements BLOB NOT NULL, 
	PRIMARY KEY (account, region, function, qualifier)
);
CREATE TABLE lambda_provisioned (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	qualifier VARCHAR NOT NULL, 
	amount INTEGER NOT NULL, 
	modified_ms INTEGER NOT NULL, 
	PRIMARY KEY (account, region, function, qualifier)
);
CREATE TABLE lambda_urls (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	qualifier VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	settings BLOB NOT NULL, 
	created_ns INTEGER NOT NULL, 
	modified_ns INTEGER NOT NULL, 
	PRIMARY KEY (account, region, function, qualifier)
);
CREATE TABLE lambda_version_numbers (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	last INTEGER NOT NULL, 
	PRIMARY KEY (account, region, name)
);
CREATE TABLE lambda_versions (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	description VARCHAR, 
	settings BLOB NOT NULL, 
	environment BLOB, 
	code_sha256 VARCHAR NOT NULL, 
	code_size INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	revision_id VARCHAR NOT NULL, 
	generation VARCHAR NOT NULL, 
	modified_ms INTEGER NOT NULL, state_reason VARCHAR, state_reason_code VARCHAR, snapshot_ms INTEGER, 
	PRIMARY KEY (account, region, name, version)
);
CREATE TABLE ledger (
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	function VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	day INTEGER NOT NULL, 
	architecture VARCHAR NOT NULL, 
	requests INTEGER NOT NULL, 
	billed_ms INTEGER NOT NULL, 
	mb_ms INTEGER NOT NULL, 
	provisioned_mb_ms INTEGER NOT NULL, 
	kept_mb_ms INTEGER NOT NULL, 
	tmp_mb_ms INTEGER NOT NULL, cached_mb_ms INTEGER DEFAULT '0' NOT NULL, restored_mb INTEGER DEFAULT '0' NOT NULL, streamed_bytes INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (account, region, function, version, day, architecture)
)
 WITHOUT ROWID;
CREATE TABLE metric_minutes (
	series INTEGER NOT NULL, 
	minute INTEGER NOT NULL, 
	unit VARCHAR NOT NULL, 
	count FLOAT NOT NULL, 
	sum FLOAT NOT NULL, 
	minimum FLOAT NOT NULL, 
	maximum FLOAT NOT NULL, 
	buckets BLOB, 
	PRIMARY KEY (series, minute, unit)
)
 WITHOUT ROWID;
CREATE TABLE metric_series (
	id INTEGER NOT NULL, 
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	namespace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	dimensions VARCHAR NOT NULL, 
	last_minute INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE xray_segments (
	trace INTEGER NOT NULL, 
	segment_id VARCHAR NOT NULL, 
	document BLOB NOT NULL, 
	PRIMARY KEY (trace, segment_id)
);
CREATE TABLE xray_traces (
	id INTEGER NOT NULL, 
	account VARCHAR NOT NULL, 
	region VARCHAR NOT NULL, 
	trace_id VARCHAR NOT NULL, 
	started_at FLOAT NOT NULL, 
	ended_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	size INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	limit_exceeded INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX apigateway_apis_account ON apigateway_apis (account, region);
CREATE INDEX http_apis_region ON http_apis (account, region);
CREATE UNIQUE INDEX iam_entities_id ON iam_entities (id);
CREATE INDEX iam_references_id ON iam_references (id);
CREATE INDEX lambda_code_signing_config ON lambda_code_signing (account, region, config);
CREATE INDEX lambda_functions_code ON lambda_functions (code_sha256);
CREATE INDEX lambda_functions_usage ON lambda_functions (account, region, code_size);
CREATE UNIQUE INDEX lambda_urls_id ON lambda_urls (id);
CREATE INDEX lambda_versions_code ON lambda_versions (code_sha256);
CREATE INDEX lambda_versions_usage ON lambda_versions (account, region, code_size);
CREATE INDEX metric_minutes_age ON metric_minutes (minute);
CREATE UNIQUE INDEX metric_series_key ON metric_series (account, region, namespace, name, dimensions);
CREATE UNIQUE INDEX xray_traces_id ON xray_traces (account, region, trace_id);
CREATE INDEX xray_traces_time ON xray_traces (account, region, started_at);
INSERT INTO alembic_version (version_num) VALUES ('0013');
