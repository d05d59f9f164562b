-- The users of a server in a room, those who left too: what decides over which history the server may have.

DROP INDEX memberships_server;
CREATE INDEX memberships_server ON memberships (room_id, server, membership) WHERE server IS NOT NULL;
