"""The services of rooms, made and bundled."""

from chamberlain.accounts.identity_servers import IdentityServers
from chamberlain.rooms.address_invites import AddressInvites
from chamberlain.rooms.aliases import Aliases
from chamberlain.rooms.by_time import ByTime
from chamberlain.rooms.create import CreateRoom
from chamberlain.rooms.directory import Directory
from chamberlain.rooms.guests import Guests
from chamberlain.rooms.handshake import Handshakes
from chamberlain.rooms.history import History
from chamberlain.rooms.inheritance import Inheritance
from chamberlain.rooms.initial_sync import InitialSync
from chamberlain.rooms.invite_permission import InvitePermission
from chamberlain.rooms.invites import Invites
from chamberlain.rooms.membership import Membership
from chamberlain.rooms.messages import Messages
from chamberlain.rooms.mutual import Mutual
from chamberlain.rooms.outside import Outside
from chamberlain.rooms.pipeline.accept import Accept
from chamberlain.rooms.pipeline.backfill import Backfill
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.completion import Completion
from chamberlain.rooms.pipeline.draft import Drafting
from chamberlain.rooms.pipeline.fetch import Fetch
from chamberlain.rooms.pipeline.fork import Forking
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.imports import Imports
from chamberlain.rooms.pipeline.notifications import Notifications
from chamberlain.rooms.pipeline.outliers import Outliers
from chamberlain.rooms.pipeline.policy import Policy
from chamberlain.rooms.pipeline.resolve import Resolve
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import (
    Elsewhere,
    KeyRing,
    OwnKeys,
    PolicyServers,
    Profiles,
    RemoteServers,
    Rulesets,
)
from chamberlain.rooms.profile_fanout import ProfileFanout
from chamberlain.rooms.reading import Reading
from chamberlain.rooms.receipts import Receipts
from chamberlain.rooms.relations import Relations
from chamberlain.rooms.remote_membership import RemoteMembership
from chamberlain.rooms.reports import Reports
from chamberlain.rooms.search import Search
from chamberlain.rooms.search_index import SearchIndex
from chamberlain.rooms.spaces import Spaces
from chamberlain.rooms.summaries import Summaries
from chamberlain.rooms.templates import Templates
from chamberlain.rooms.threads import Threads
from chamberlain.rooms.typing import Typing
from chamberlain.rooms.upgrade import Upgrade
from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.database import Database


class Rooms:
    """What happens in rooms."""

    __slots__ = (
        "_tasks",
        "accept",
        "address_invites",
        "aliases",
        "by_time",
        "checks",
        "completion",
        "create",
        "directory",
        "guests",
        "heads",
        "history",
        "imports",
        "initial_sync",
        "invite_permission",
        "invites",
        "membership",
        "messages",
        "mutual",
        "outside",
        "profile_fanout",
        "reading",
        "receipts",
        "relations",
        "remote_membership",
        "reports",
        "search",
        "search_index",
        "spaces",
        "submit",
        "summaries",
        "templates",
        "threads",
        "typing",
        "upgrade",
    )

    def __init__(
        self,
        tasks: Tasks,
        heads: Heads,
        submit: Submit,
        create: CreateRoom,
        membership: Membership,
        aliases: Aliases,
        messages: Messages,
        reading: Reading,
        typing: Typing,
        receipts: Receipts,
        directory: Directory,
        upgrade: Upgrade,
        profile_fanout: ProfileFanout,
        summaries: Summaries,
        spaces: Spaces,
        history: History,
        by_time: ByTime,
        relations: Relations,
        threads: Threads,
        reports: Reports,
        mutual: Mutual,
        search: Search,
        search_index: SearchIndex,
        initial_sync: InitialSync,
        guests: Guests,
        accept: Accept,
        imports: Imports,
        checks: Checks,
        templates: Templates,
        outside: Outside,
        invite_permission: InvitePermission,
        invites: Invites,
        address_invites: AddressInvites,
        remote_membership: RemoteMembership,
        completion: Completion,
    ) -> None:
        self._tasks = tasks
        self.heads = heads
        self.submit = submit
        self.create = create
        self.membership = membership
        self.aliases = aliases
        self.messages = messages
        self.reading = reading
        self.typing = typing
        self.receipts = receipts
        self.directory = directory
        self.upgrade = upgrade
        self.profile_fanout = profile_fanout
        self.summaries = summaries
        self.spaces = spaces
        self.history = history
        self.by_time = by_time
        self.relations = relations
        self.threads = threads
        self.reports = reports
        self.mutual = mutual
        self.search = search
        self.search_index = search_index
        self.initial_sync = initial_sync
        self.guests = guests
        self.accept = accept
        self.imports = imports
        self.checks = checks
        self.templates = templates
        self.outside = outside
        self.invite_permission = invite_permission
        self.invites = invites
        self.address_invites = address_invites
        self.remote_membership = remote_membership
        self.completion = completion

    async def start(self) -> None:
        """Begin the background work."""
        self.profile_fanout.start()
        self.search_index.start()
        self.guests.start()
        self.completion.start()

    async def close(self) -> None:
        """Let the queues run empty and end the background work."""
        self.typing.close()
        await self.profile_fanout.close()
        await self.search_index.close()
        await self.guests.close()
        await self.completion.close()
        await self._tasks.settle()
        await self._tasks.close()


def build_rooms(
    db: Database,
    clock: Clock,
    rng: Rng,
    bus: Bus,
    *,
    server_name: str,
    own_keys: OwnKeys,
    default_version: str,
    profiles: Profiles,
    identity_servers: IdentityServers,
    rulesets: Rulesets,
    key_ring: KeyRing,
    remotes: RemoteServers,
    elsewhere: Elsewhere,
    handshakes: Handshakes,
    policy_servers: PolicyServers,
    holder: str,
) -> Rooms:
    """Make the services of rooms. `holder`: this worker's name in leases."""
    tasks = Tasks()
    heads = Heads(db)
    resolve = Resolve(db)
    drafting = Drafting(db, heads, resolve, server_name, own_keys)
    notifications = Notifications(db, heads, rulesets, server_name)
    ids = EventIds(db)
    policy = Policy(db, heads, policy_servers)
    outliers = Outliers(db, clock, ids)
    forking = Forking(db, clock, heads, ids, outliers, resolve, notifications, server_name)
    submit = Submit(db, clock, tasks, heads, drafting, forking, notifications, server_name, ids, policy)
    checks = Checks(key_ring, clock)
    fetch = Fetch(db, remotes, checks, outliers)
    accept = Accept(db, clock, heads, submit, ids, checks, fetch, forking, notifications, policy)
    completion = Completion(db, clock, heads, submit, fetch, server_name, holder)
    imports = Imports(db, clock, heads, submit, ids, checks, outliers, forking, completion, server_name)
    templates = Templates(heads, drafting, policy, clock)
    outside = Outside(db, clock, ids, checks)
    permission = InvitePermission(db)
    invites = Invites(heads, submit, templates, handshakes, accept, permission, server_name)
    remote = RemoteMembership(
        db, clock, heads, outside, handshakes, imports, completion, accept, server_name, own_keys
    )
    inheritance = Inheritance(db, heads)
    membership = Membership(db, heads, submit, profiles, inheritance, remote, invites)
    address_invites = AddressInvites(heads, submit, membership, invites, profiles, identity_servers)
    create = CreateRoom(
        submit,
        profiles,
        invites,
        address_invites,
        permission,
        clock,
        rng,
        server_name=server_name,
        default_version=default_version,
    )
    aliases = Aliases(db, clock, heads, server_name, elsewhere)
    summaries = Summaries(db, heads, aliases, elsewhere, server_name)
    reading = Reading(db, heads, completion)
    search_index = SearchIndex(db, clock)
    backfill = Backfill(db, clock, heads, submit, ids, checks, fetch, outliers, forking, remotes)
    history = History(db, clock, heads, backfill)
    typing = Typing(clock, bus)
    db.subscribe(typing.follow)
    return Rooms(
        tasks=tasks,
        heads=heads,
        submit=submit,
        create=create,
        membership=membership,
        aliases=aliases,
        messages=Messages(db, heads, submit, aliases, invites),
        reading=reading,
        typing=typing,
        receipts=Receipts(db, clock, heads),
        directory=Directory(db, clock, heads, submit, aliases, elsewhere),
        upgrade=Upgrade(db, clock, rng, heads, submit, inheritance),
        profile_fanout=ProfileFanout(db, clock, heads, submit, profiles),
        summaries=summaries,
        spaces=Spaces(db, summaries, elsewhere, server_name),
        history=history,
        by_time=ByTime(db, heads, backfill, elsewhere),
        relations=Relations(db, clock),
        threads=Threads(db, clock, heads),
        reports=Reports(db, clock, heads, server_name),
        mutual=Mutual(db),
        search=Search(db, clock, search_index, reading),
        search_index=search_index,
        initial_sync=InitialSync(db, heads, history, reading),
        guests=Guests(db, heads, submit, remote),
        accept=accept,
        imports=imports,
        checks=checks,
        templates=templates,
        outside=outside,
        invite_permission=permission,
        invites=invites,
        address_invites=address_invites,
        remote_membership=remote,
        completion=completion,
    )
