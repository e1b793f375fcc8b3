BEGIN TRANSACTION;
CREATE TABLE deferred ( id TEXT NOT NULL, rcpt_index INTEGER NOT NULL, sender TEXT NOT NULL, rcpt TEXT NOT NULL, transport TEXT NOT NULL, received_us INTEGER NOT NULL, octets INTEGER NOT NULL, attempts INTEGER NOT NULL, next_attempt INTEGER NOT NULL, last_error TEXT, segment TEXT NOT NULL DEFAULT '', generation INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (id, rcpt_index)) WITHOUT ROWID;
INSERT INTO "deferred" VALUES('6C4QC5EPW6M05',0,'a@client.test','old@example.test','maildir',1795703323680095,323,1,1795706923,'/var/vmail/example.test/old: Not a directory: something else is in its place, or a symbolic link, which is not followed here: put a folder there','6612ec2b74e90005',1,1);
INSERT INTO "deferred" VALUES('6C4QC5EPW6M05',1,'a@client.test','older@example.test','maildir',1795703323680095,323,1,1795706923,'/var/vmail/example.test/older: Not a directory: something else is in its place, or a symbolic link, which is not followed here: put a folder there','6612ec2b74e90005',1,1);
CREATE INDEX deferred_next ON deferred (next_attempt);
CREATE INDEX deferred_origin ON deferred (segment, generation, seq);
COMMIT;
PRAGMA user_version = 1;
