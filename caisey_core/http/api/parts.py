"""Parts of lists: where one begins, and how long it is."""

from typing import Annotated, Final

from litestar.params import QueryParameter

After = Annotated[str, QueryParameter(description="Where to go on: “next” of the part before; empty: from the beginning.")]
Limit = Annotated[int, QueryParameter(description="How many entries at most.", ge=1, le=200)]
USUAL: Final = 50
