-- Which other homeservers are talked to, beside what the settings say.

-- rule: allow or deny. pattern: in lower case; * and ? stand for any letters and any letter. created_at in ms.
CREATE TABLE server_rules (
    pattern TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    created_at BIGINT NOT NULL
) /* without rowid */;
