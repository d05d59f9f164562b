-- Files of other servers that were fetched for users of this one. Their bytes are on disk beside those of uploads,
-- named by their hash.

-- quarantined_by: the user who quarantined it. frozen: fetched while the paths that ask for no token were closed to
-- new media.
CREATE TABLE remote_media (
    origin TEXT NOT NULL,
    media_id TEXT NOT NULL,
    content_type TEXT NOT NULL,
    file_name TEXT,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    fetched_at BIGINT NOT NULL,
    last_access_at BIGINT NOT NULL,
    quarantined_by TEXT,
    frozen BOOLEAN NOT NULL,
    PRIMARY KEY (origin, media_id)
);
CREATE INDEX remote_media_sha256 ON remote_media (sha256);
CREATE INDEX remote_media_access ON remote_media (last_access_at);
