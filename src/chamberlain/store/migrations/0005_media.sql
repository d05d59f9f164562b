-- Uploaded files. Their bytes are on disk, named by their hash.

-- sha256 and size are NULL as long as nothing was uploaded to an id that was made in advance.
-- quarantined_by: the user who quarantined it. safe: cannot be quarantined. frozen: uploaded while the paths
-- that ask for no token were closed to new media.
CREATE TABLE media (
    media_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    content_type TEXT NOT NULL,
    file_name TEXT,
    size BIGINT,
    sha256 TEXT,
    created_at BIGINT NOT NULL,
    last_access_at BIGINT NOT NULL,
    quarantined_by TEXT,
    safe BOOLEAN NOT NULL,
    frozen BOOLEAN NOT NULL
);
CREATE INDEX media_user ON media (user_id, created_at);
CREATE INDEX media_sha256 ON media (sha256);
CREATE INDEX media_pending ON media (created_at) WHERE sha256 IS NULL;
