-- The workers that use this database, where there are several: those that are waited for until they have heard of
-- a change on which security hangs.
CREATE TABLE workers (
    name TEXT PRIMARY KEY
) /* without rowid */;
