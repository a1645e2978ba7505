-- A results database of schema 1, made by the suite of that time from five synthetic run directories.
PRAGMA application_id = 1347570771;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
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
INSERT INTO "configuration" VALUES('41cf217b98bb9e46','run','smoke@1',16000,0,'dqn','impala','1','redo','{"agent":{"card":"","id":"dqn","settings":{"gamma":0.99},"version":1},"dataset":null,"frames":16000,"methods":[{"card":"","id":"redo","settings":{},"version":1}],"network":{"card":"","id":"impala","settings":{"width":1},"version":1},"precision":"float32","shortened":false,"task":"smoke","task_version":1}','[]');
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
INSERT INTO "iteration" VALUES(1,0,-3.81225,4);
INSERT INTO "iteration" VALUES(1,1,7.99675000000000046895e+00,4);
INSERT INTO "iteration" VALUES(1,2,13.637,4);
INSERT INTO "iteration" VALUES(1,3,16.08025,4);
INSERT INTO "iteration" VALUES(2,0,-11.77725,4);
INSERT INTO "iteration" VALUES(2,1,-4.25025,4);
INSERT INTO "iteration" VALUES(2,2,-1.87175,4);
INSERT INTO "iteration" VALUES(2,3,-0.5845,4);
INSERT INTO "iteration" VALUES(3,0,29.41475,4);
INSERT INTO "iteration" VALUES(3,1,49.11525,4);
INSERT INTO "iteration" VALUES(3,2,58.16225,4);
INSERT INTO "iteration" VALUES(3,3,63.0745,4);
INSERT INTO "iteration" VALUES(5,0,-12.2835,4);
INSERT INTO "iteration" VALUES(5,1,-6.25,4);
INSERT INTO "iteration" VALUES(5,2,-3.10925,4);
INSERT INTO "iteration" VALUES(5,3,-2.0685,4);
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
	episodes BLOB, 
	PRIMARY KEY (id), 
	FOREIGN KEY(config_id) REFERENCES configuration (config_id)
)
 STRICT

;
INSERT INTO "run" VALUES(1,'3bd25d0ddb913cef','Pong',0,'env-a',1,0,'done',16000,14.858625,8,1060000,1060000,0.0,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','e5acafeff29ac7af4c064b5b6cdbe6e1c491d0f8427339cd9a8d70fb3854a852',X'789C65D0310EC3200C05D0BB64A616DF60C06741192235438776A8727F551970119E9F6C7FFFDE11630C2C313C00426A61BBCEEFFBF539AEF3B9EDA1B3B950CCAB26D348EA340F05B5A2ABCA5021B09B2D430B15C6AA75A812ABCBDCECEE9DCAAD566390FAD477237F6F2E37AC32641215E7561984B43A4E13571F1E79F224DEAD371462F6E7CBE4EB77FB0F687286EC');
INSERT INTO "run" VALUES(2,'3bd25d0ddb913cef','Pong',1,'env-a',1,1,'done',16000,-1.228125,8,1060000,1060000,0.0,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','e196502fd82ba6001fff1e0bbdfe2d37d6841efffa7d7091ea3a03ecedead93f',X'789C65D04D0A02310C05E0BBCCBA86FC356DCF526621380B17BA90B93F22488CCDFA23C9CB9B9310B170C5722103E65AB6F3783DEECFEB79DCB6BD4CFE3903715B5DDC3B0C4BE3EA3CA00D5EB93A1B208D95CD998169D5E6AAC02D25EB8175A464C359805A3AFDE9E5EB084D1387DE00D99273885E353D4E12D6F75C0C69F49EBD065749DD900527917FDFDF25DB87D2');
INSERT INTO "run" VALUES(3,'41cf217b98bb9e46','Breakout',0,'env-a',1,1,'done',16000,60.618375,8,1060000,530000,0.5,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','5a4f21ab7cfe2e1b3da59ff4019344497df543d3858ba4a0cca62a65200c7233',X'789C65D03B0AC3301084E1BBB8168356FBD0FA2CC645202E522445F0FD490CD142B4F5C7C0F06F1BD55A4BD35AC8A06B59CEE3FD7CBC6EE7715FF6B2B5A1CDE0DC67E6C1AC90BC966047EF3CB30E1681ABCD6CC11D2E3A731FAC158D66F55086A6ED1ADA5129F1D5E4E7DF28F919453475B8B5E491CDAE6F791FDD8CE094CE538433064BDE47396BE03585A54867822EFEEFFB07946187E0');
INSERT INTO "run" VALUES(4,'41cf217b98bb9e46','Breakout',1,'env-a',1,1,'failed',8000,NULL,NULL,NULL,NULL,NULL,100,NULL,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-01-01T00:00:00Z", "suite_version": "0.1.0"}','2026-01-01T00:00:00Z','2026-01-01T01:00:00Z','48cc18f6ec32bffd866df3d7df0182e9f9597b000a6b748c35aff79917c5d1e5',NULL);
INSERT INTO "run" VALUES(5,'3bd25d0ddb913cef','Pong',0,'env-a',1,1,'done',16000,-2.588875,8,1060000,1060000,0.0,100,1.0,'{}','{"attempt": 1, "command": [], "environment": {"ale": "0.12.1"}, "environment_fingerprint": "env-a", "execution": {}, "git": {"commit": null}, "hardware": {}, "packages": {}, "resumed_at": 0, "started_at": "2026-02-01T00:00:00Z", "suite_version": "0.1.0"}','2026-02-01T00:00:00Z','2026-02-01T01:00:00Z','274f0960bfa07bc010f27af0254944e5ab7c9c3b759192257e3d34c67c6e689a',X'789C65D03D0EC3200C05E0BB64A696EDF807CE8232446A860EED50E5FEAABA8085E74FEF195EEF84888515CB8314DCA56CF7F57DBF3EE77D3DB7A3749ECEE066ABEFD3116ACECBF006CEABEA5007D714B6C05CD36D1FAC209ACAEB6001C5BA720B8C39FD1F66C62DC5692EC720B8270FCB8150FA1B85E5A0B12797D06F993530E6DDC942BDADCF3B7EA0758817');
CREATE INDEX ix_configuration_task ON configuration (task);
CREATE UNIQUE INDEX run_current ON run (config_id, game, seed, environment_fingerprint) WHERE current = 1;
CREATE UNIQUE INDEX run_content ON run (config_id, game, seed, environment_fingerprint, digest);
COMMIT;
