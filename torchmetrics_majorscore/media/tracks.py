"""Which of several tracks of a file is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.media.container import import_av

if TYPE_CHECKING:
    from av.container import InputContainer


def choose_track(container: InputContainer, kind: str, number: int | None = None) -> tuple[Any | None, str]:
    """Choose a track: the one asked for, else the first that is flagged as default, else the first.

    Args:
        container: The open container.
        kind: ``"video"`` or ``"audio"``.
        number: The track of this kind to take, counted from 0, or None.

    Returns:
        Its stream, or None if there is none; the cover picture of a music file is no video. And a remark if there was a
        choice that nobody made, else "".

    Raises:
        ValueError: If there is no track of this number; the message does not name the file.
    """
    flags = import_av().stream.Disposition
    streams: list[Any] = [s for s in getattr(container.streams, kind) if not s.disposition & flags.attached_pic]
    if not streams:
        return None, ""
    if number is not None:
        if not 0 <= number < len(streams):
            raise ValueError(f"Expected {kind}_track to be one of {len(streams)}, counted from 0, got {number}")
        return streams[number], ""
    # A track that no decoder here knows, such as spatial sound beside the ordinary one, is only taken if alone.
    known = [stream for stream in streams if stream.codec_context is not None] or streams
    chosen = next((stream for stream in known if stream.disposition & flags.default), known[0])
    word = {"video": "picture", "audio": "sound"}[kind]
    return chosen, f"{len(streams)} {word} tracks, number {streams.index(chosen)} taken" if len(streams) > 1 else ""
