"""The pages of lists that have many."""

from typing import Annotated

import msgspec

Offset = Annotated[int, msgspec.Meta(ge=0)]
"""How many entries stand before the page."""
PageSize = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
"""The entries of a page that begins at an offset."""
SliceSize = Annotated[int, msgspec.Meta(ge=1, le=1000)]
"""The entries of a page that begins behind an entry."""
