"""Methods that look at the whole image, which a tile does not show them."""

from __future__ import annotations

from srbench.errors import InputError


def refuse_tiles(tile: int | None, method: str, why: str) -> None:
    """Refuses to restore in tiles what depends on the whole image.

    Args:
        tile: as the method was given it.
        method: its name.
        why: what it takes from the whole image.

    Raises:
        InputError: ``tile`` is not None.
    """
    if tile is not None:
        raise InputError(
            f"{method} is not tiled: {why}, and a tile would give another",
            where="model.init_args.tile",
            remedy="leave it out and restore whole images",
        )
