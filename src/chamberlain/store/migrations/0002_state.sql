-- Room state as a branching temporal table: lines of versions, a row for each stretch in which a key had one event.

-- What names a piece of state, as a number. Those of m.room.member are positive, all others negative, so that
-- the state without its members is one short range.
CREATE TABLE state_keys (
    key BIGINT PRIMARY KEY,
    type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    UNIQUE (type, state_key)
);

-- A line is a run of versions, head the oldest kept and tip the newest. It branches off its base, and answers for
-- all keys itself where it is complete. live: rows that hold at the tip; dead: the others. The line that is a
-- room's current one has its newest version in rooms.cur_ver; its tip, live and dead may lag behind that.
CREATE TABLE state_lines (
    line BIGINT PRIMARY KEY,
    room_id TEXT NOT NULL,
    base_line BIGINT,
    base_ver BIGINT,
    complete BOOLEAN NOT NULL,
    head BIGINT NOT NULL,
    tip BIGINT NOT NULL,
    live BIGINT NOT NULL,
    dead BIGINT NOT NULL
);
CREATE INDEX state_lines_room ON state_lines (room_id);

-- The event holds at the versions from_v <= v < to_v; NULL says that the key has none, whatever the base has.
CREATE TABLE state_rows (
    line BIGINT NOT NULL,
    key BIGINT NOT NULL,
    from_v BIGINT NOT NULL,
    to_v BIGINT NOT NULL,
    event BIGINT,
    PRIMARY KEY (line, key, from_v)
) /* without rowid */;
-- On expressions, so that a query says by `+ 0` that it wants one of these: to find a key's row through them would
-- mean to read all rows that begin or end at one version, and planners do not know better.
CREATE INDEX state_rows_to ON state_rows (line, (to_v + 0), from_v);
CREATE INDEX state_rows_from ON state_rows (line, (from_v + 0));

-- A point that was copied to a place with a shorter way to its root.
CREATE TABLE state_alias (
    line BIGINT NOT NULL,
    ver BIGINT NOT NULL,
    to_line BIGINT NOT NULL,
    to_ver BIGINT NOT NULL,
    PRIMARY KEY (line, ver)
) /* without rowid */;

-- Where the current state stood from a position of the change stream on; a row only when it moved.
CREATE TABLE room_positions (
    room_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    line BIGINT NOT NULL,
    ver BIGINT NOT NULL,
    PRIMARY KEY (room_id, position)
) /* without rowid */;
