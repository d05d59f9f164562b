"""`[media]`: uploaded and remote files."""

from pathlib import Path

from chamberlain.config.section import Section


class S3(Section, frozen=True, kw_only=True):
    """A bucket of an S3-compatible store, in place of the media folder."""

    bucket: str = ""
    """The bucket's name. Empty: media are kept in the folder."""
    endpoint: str = ""
    """The store's URL, as `https://s3.example.org`."""
    region: str = "us-east-1"
    """The region that requests are signed for."""
    access_key: str = ""
    """The access key's id."""
    secret_key: str = ""
    """The access key's secret."""
    secret_key_file: str = ""
    """Read `secret_key` from this file."""
    prefix: str = ""
    """Put before each object's name, so that a bucket can be shared."""


class Media(Section, frozen=True, kw_only=True):
    """Where files are kept and what is accepted."""

    directory: Path | None = None
    """The folder of uploaded files. When not set, `media` in the data folder."""
    max_upload_bytes: int = 50 * 1024 * 1024
    """Larger uploads are refused with `M_TOO_LARGE`."""
    max_remote_bytes: int = 100 * 1024 * 1024
    """Larger files of other servers are not fetched for the users of this one."""
    remote_cache_days: int = 90
    """Fetched files of other servers that nobody has read for so many days are deleted; they are fetched again when
    somebody wants them. 0: they are kept for ever."""
    max_image_pixels: int = 32_000_000
    """Images of more pixels than this are kept but get no thumbnail."""
    unauthenticated: bool = True
    """Whether the old download paths, which ask for no access token, serve new files. Older clients and bridges
    need them; when switched off, they still serve the files that were uploaded before, but no newer ones."""
    url_previews: bool = False
    """Whether clients may ask for previews of web pages, which the server then fetches."""
    s3: S3 = S3()
