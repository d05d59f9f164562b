-- Which servers are in which room.

-- server: that of a remote user; NULL for ours.
ALTER TABLE memberships ADD COLUMN server TEXT;
CREATE INDEX memberships_server ON memberships (room_id, server) WHERE membership = 'join' AND server IS NOT NULL;
