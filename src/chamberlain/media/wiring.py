"""The services of media, made and bundled."""

from collections.abc import Sequence
from pathlib import Path

from chamberlain.config.media import Media as MediaSettings
from chamberlain.media.blobs import BlobStore
from chamberlain.media.files import Files
from chamberlain.media.multipart import Multipart
from chamberlain.media.ports import RemoteMedia
from chamberlain.media.quarantine import Quarantine
from chamberlain.media.remote_files import RemoteFiles
from chamberlain.media.thumbnails import Thumbnails
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.tx import Change


class Media:
    """The bundle."""

    __slots__ = (
        "_blobs",
        "_tasks",
        "files",
        "max_upload_bytes",
        "multipart",
        "quarantine",
        "remote_files",
        "thumbnails",
    )

    def __init__(
        self,
        blobs: BlobStore,
        files: Files,
        remote_files: RemoteFiles,
        thumbnails: Thumbnails,
        multipart: Multipart,
        quarantine: Quarantine,
        tasks: Tasks,
        limit: int,
    ) -> None:
        self._blobs = blobs
        self._tasks = tasks
        self.files = files
        self.remote_files = remote_files
        self.thumbnails = thumbnails
        self.multipart = multipart
        self.quarantine = quarantine
        self.max_upload_bytes = limit

    def heard(self, changes: Sequence[Change]) -> None:
        """Pass on the news that concern media."""
        ours = [change for change in changes if change.kind == kinds.MEDIA]
        if ours:
            self.files.heard(ours)

    async def start(self) -> None:
        """Make the folders and begin the background work."""
        await self._blobs.start()
        for accesses in (self.files.accesses, self.remote_files.accesses):
            self._tasks.spawn("note which files were read", accesses.flush_forever())
        self._tasks.spawn("forget remote files", self.remote_files.prune_forever())

    async def close(self) -> None:
        """End the background work and write down what it still holds."""
        await self._tasks.close()
        await self.files.accesses.flush()
        await self.remote_files.accesses.flush()
        self.thumbnails.close()
        self._blobs.close()


def build_media(
    db: Database,
    clock: Clock,
    rng: Rng,
    settings: MediaSettings,
    folder: Path,
    server_name: str,
    remote: RemoteMedia,
) -> Media:
    """Make the services. `remote` reaches the files of other servers."""
    tasks = Tasks()
    blobs = BlobStore(folder, rng, clock)
    freeze = not settings.unauthenticated
    remote_files = RemoteFiles(
        db,
        blobs,
        clock,
        tasks,
        remote,
        max_bytes=settings.max_remote_bytes,
        keep_days=settings.remote_cache_days,
        freeze=freeze,
    )
    files = Files(db, blobs, clock, rng, server_name, remote_files, freeze=freeze)
    thumbnails = Thumbnails(blobs, tasks, max_pixels=settings.max_image_pixels)
    quarantine = Quarantine(db, clock, server_name)
    media = Media(
        blobs, files, remote_files, thumbnails, Multipart(rng), quarantine, tasks, settings.max_upload_bytes
    )
    db.subscribe(media.heard)
    return media
