-- A results database of schema 2, made by the suite of that time: three run directories and two submissions.
PRAGMA application_id = 1347570771;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE attestation (
	sha256 TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	level TEXT, 
	"by" TEXT NOT NULL, 
	date TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	flags TEXT NOT NULL, 
	PRIMARY KEY (sha256, digest), 
	FOREIGN KEY(sha256) REFERENCES submission (sha256)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE configuration (
	config_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	task TEXT NOT NULL, 
	frames INTEGER NOT NULL, 
	shortened INTEGER NOT NULL, 
	agent TEXT NOT NULL, 
	network TEXT NOT NULL, 
	width TEXT, 
	method TEXT NOT NULL, 
	spec TEXT, 
	caveats TEXT NOT NULL, 
	PRIMARY KEY (config_id)
)
 STRICT

;
INSERT INTO "configuration" VALUES('3bd25d0ddb913cef','run','smoke@1',16000,0,'dqn','impala','1','dense','{"agent":{"card":"","id":"dqn","settings":{"gamma":0.99},"version":1},"dataset":null,"frames":16000,"methods":[{"card":"","id":"dense","settings":{},"version":1}],"network":{"card":"","id":"impala","settings":{"width":1},"version":1},"precision":"float32","shortened":false,"task":"smoke","task_version":1}','[]');
CREATE TABLE iteration (
	run_id INTEGER NOT NULL, 
	iteration INTEGER NOT NULL, 
	mean_return REAL NOT NULL, 
	episodes INTEGER, 
	PRIMARY KEY (run_id, iteration), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "iteration" VALUES(2,0,-3.81225,4);
INSERT INTO "iteration" VALUES(2,1,7.99675000000000046895e+00,4);
INSERT INTO "iteration" VALUES(2,2,13.637,4);
INSERT INTO "iteration" VALUES(2,3,16.08025,4);
INSERT INTO "iteration" VALUES(3,0,-11.77725,4);
INSERT INTO "iteration" VALUES(3,1,-4.25025,4);
INSERT INTO "iteration" VALUES(3,2,-1.87175,4);
INSERT INTO "iteration" VALUES(3,3,-0.5845,4);
INSERT INTO "iteration" VALUES(4,0,-3.81225,4);
INSERT INTO "iteration" VALUES(4,1,7.99675000000000046895e+00,4);
INSERT INTO "iteration" VALUES(4,2,13.637,4);
INSERT INTO "iteration" VALUES(4,3,16.08025,4);
CREATE TABLE recording (
	run_id INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	points INTEGER NOT NULL, 
	diagnostics BLOB, 
	checkpoints BLOB, 
	evaluation BLOB, 
	episodes BLOB, 
	PRIMARY KEY (run_id, source), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
)
 STRICT

;
INSERT INTO "recording" VALUES(2,'','1fa4b3935885c90b679ce28f1c93b7729f2863a8ef63d1270882d9b4e418ccb1',0,NULL,NULL,NULL,X'789C65D0310EC3200C05D0BB64A616DF60C06741192235438776A8727F551970119E9F6C7FFFDE11630C2C313C00426A61BBCEEFFBF539AEF3B9EDA1B3B950CCAB26D348EA340F05B5A2ABCA5021B09B2D430B15C6AA75A812ABCBDCECEE9DCAAD566390FAD477237F6F2E37AC32641215E7561984B43A4E13571F1E79F224DEAD371462F6E7CBE4EB77FB0F687286EC');
INSERT INTO "recording" VALUES(3,'','1fa4b3935885c90b679ce28f1c93b7729f2863a8ef63d1270882d9b4e418ccb1',0,NULL,NULL,NULL,X'789C65D04D0A02310C05E0BBCCBA86FC356DCF526621380B17BA90B93F22488CCDFA23C9CB9B9310B170C5722103E65AB6F3783DEECFEB79DCB6BD4CFE3903715B5DDC3B0C4BE3EA3CA00D5EB93A1B208D95CD998169D5E6AAC02D25EB8175A464C359805A3AFDE9E5EB084D1387DE00D99273885E353D4E12D6F75C0C69F49EBD065749DD900527917FDFDF25DB87D2');
INSERT INTO "recording" VALUES(2,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','1fa4b3935885c90b679ce28f1c93b7729f2863a8ef63d1270882d9b4e418ccb1',0,NULL,NULL,NULL,X'789C65D0310EC3200C05D0BB64A616DF60C06741192235438776A8727F551970119E9F6C7FFFDE11630C2C313C00426A61BBCEEFFBF539AEF3B9EDA1B3B950CCAB26D348EA340F05B5A2ABCA5021B09B2D430B15C6AA75A812ABCBDCECEE9DCAAD566390FAD477237F6F2E37AC32641215E7561984B43A4E13571F1E79F224DEAD371462F6E7CBE4EB77FB0F687286EC');
INSERT INTO "recording" VALUES(4,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','1fa4b3935885c90b679ce28f1c93b7729f2863a8ef63d1270882d9b4e418ccb1',0,NULL,NULL,NULL,X'789C65D0310EC3200C05D0BB64A616DF60C06741192235438776A8727F551970119E9F6C7FFFDE11630C2C313C00426A61BBCEEFFBF539AEF3B9EDA1B3B950CCAB26D348EA340F05B5A2ABCA5021B09B2D430B15C6AA75A812ABCBDCECEE9DCAAD566390FAD477237F6F2E37AC32641215E7561984B43A4E13571F1E79F224DEAD371462F6E7CBE4EB77FB0F687286EC');
CREATE TABLE run (
	id INTEGER NOT NULL, 
	config_id TEXT NOT NULL, 
	game TEXT NOT NULL, 
	seed INTEGER NOT NULL, 
	environment_fingerprint TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	current INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	frames INTEGER NOT NULL, 
	score REAL, 
	scored_episodes INTEGER, 
	parameters INTEGER, 
	active_parameters INTEGER, 
	sparsity REAL, 
	updates INTEGER, 
	wall_seconds REAL, 
	departures TEXT NOT NULL, 
	provenance TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	ended_at TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	own INTEGER DEFAULT 1 NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(config_id) REFERENCES configuration (config_id)
)
 STRICT

;
INSERT INTO "run" VALUES(1,'3bd25d0ddb913cef','Breakout',0,'env-a',1,1,'failed',8000,NULL,NULL,NULL,NULL,NULL,100,NULL,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','286095f4727eeea09805fcaa461265be234ac0594317238c1ef3f7a6e0693dae',1);
INSERT INTO "run" VALUES(2,'3bd25d0ddb913cef','Pong',0,'env-a',1,1,'done',16000,14.858625,8,1060000,1060000,0.0,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','e5acafeff29ac7af4c064b5b6cdbe6e1c491d0f8427339cd9a8d70fb3854a852',1);
INSERT INTO "run" VALUES(3,'3bd25d0ddb913cef','Pong',1,'env-a',1,0,'done',16000,-1.228125,8,1060000,1060000,0.0,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','e196502fd82ba6001fff1e0bbdfe2d37d6841efffa7d7091ea3a03ecedead93f',1);
INSERT INTO "run" VALUES(4,'3bd25d0ddb913cef','Pong',1,'env-a',1,1,'done',16000,14.858625,8,1060000,1060000,0.0,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-02-01T00:00:00Z", "suite_version": "0.1.0"}','2026-02-01T00:00:00Z','2026-02-01T01:00:00Z','ea506dc47797d5c953b0c02b7e0d2e8304359ee2ef3a26f327714785673728dd',0);
CREATE TABLE run_submission (
	run_id INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	PRIMARY KEY (run_id, sha256), 
	FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE, 
	FOREIGN KEY(sha256) REFERENCES submission (sha256)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "run_submission" VALUES(2,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "run_submission" VALUES(4,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
CREATE TABLE submission (
	sha256 TEXT NOT NULL, 
	slug TEXT NOT NULL, 
	title TEXT NOT NULL, 
	authors TEXT NOT NULL, 
	license TEXT NOT NULL, 
	links TEXT NOT NULL, 
	submitted_at TEXT NOT NULL, 
	level TEXT NOT NULL, 
	report TEXT NOT NULL, 
	documents BLOB, 
	PRIMARY KEY (sha256)
)
 STRICT

;
INSERT INTO "submission" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','one','One','[{"name":"Ada Example"}]','CC0-1.0','[]','2026-01-01T01:00:00Z','recomputed','{"findings":[],"level":"recomputed"}',X'789CAB564A4E2C4A2956B2AAAEAD05001C05047C');
INSERT INTO "submission" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','two','Two','[{"name":"Ada Example"}]','CC0-1.0','[]','2026-02-01T01:00:00Z','recomputed','{"findings":[],"level":"recomputed"}',X'789CAB564A4E2C4A2956B2AAAEAD05001C05047C');
CREATE INDEX ix_configuration_task ON configuration (task);
CREATE INDEX ix_submission_slug ON submission (slug);
CREATE UNIQUE INDEX run_current ON run (config_id, game, seed, environment_fingerprint) WHERE current = 1;
CREATE UNIQUE INDEX run_content ON run (config_id, game, seed, environment_fingerprint, digest);
CREATE INDEX run_submission_bundle ON run_submission (sha256);
COMMIT;
