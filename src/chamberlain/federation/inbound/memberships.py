"""What other servers ask for the memberships of users, made and bundled."""

from chamberlain.accounts.users import Users
from chamberlain.federation.handshakes import Handshakes
from chamberlain.federation.inbound.invitations import Invitations
from chamberlain.federation.inbound.resident import Resident
from chamberlain.federation.inbound.third_party import ThirdPartyInvites
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.rooms.wiring import Rooms
from chamberlain.store.database import Database


class Memberships:
    """What answers handshakes and invites."""

    __slots__ = ("invitations", "resident", "third_party_invites")

    def __init__(
        self, db: Database, users: Users, rooms: Rooms, handshakes: Handshakes, own_keys: OwnKeys
    ) -> None:
        heads, accept, name = rooms.heads, rooms.accept, users.server_name
        self.resident = Resident(db, heads, rooms.templates, accept, name, own_keys)
        self.invitations = Invitations(
            db, users, heads, rooms.checks, accept, rooms.outside, rooms.invite_permission, own_keys
        )
        self.third_party_invites = ThirdPartyInvites(heads, rooms.address_invites, handshakes, name)
