"""Leaving out pictures that nobody sees: the same bits as decoding all of them."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import av, indices, write

from torchmetrics_majorscore.media import av1, read_frames, video
from torchmetrics_majorscore.media.decoding import Decoding
from torchmetrics_majorscore.media.unreferenced import has_one_layer

ROOT = Path(__file__).parents[1]
CLIPS = sorted([*ROOT.glob("docs/clips/*.mp4"), *ROOT.parent.glob("shared/media/clips/*.mp4")])
WINDOWS = [(1.0, 0.0, None), (4.0, 0.0, None), (0.3, 0.0, None), (2.0, 1.3, 3.1), (1.0, 2.0, None), (30.0, 0.5, 2.0)]


@pytest.fixture
def both(monkeypatch):
    """Read with and without leaving pictures out, and compare."""

    def read(path, window):
        fps, start, end = window
        with monkeypatch.context() as patch:
            patch.setattr(video, "_every", None)  # to decode every picture is what is done where leaving out fails
            fast = read_frames(path, fps=fps, start=start, end=end)
        with monkeypatch.context() as patch:
            patch.setattr(video, "_plan", lambda *args: [])
            assert torch.equal(fast, read_frames(path, fps=fps, start=start, end=end)), window
        return fast

    return read


@pytest.fixture
def decoded(monkeypatch):
    """Stamps of all frames that come out of the decoder."""
    stamps, decode = [], Decoding.frames

    def watched(*args):
        for frame in decode(*args):
            stamps.append(frame.pts)
            yield frame

    monkeypatch.setattr(Decoding, "frames", watched)
    return stamps


@pytest.mark.parametrize("path", CLIPS, ids=[path.stem for path in CLIPS])
def test_real_clips_have_the_same_bits(path, both):
    for window in random.Random(path.stem).sample(WINDOWS, 2):
        if window[1] < 2 or "shared" in path.parts:
            both(path, window)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_containers_have_the_same_bits_from_fewer_pictures(tmp_path, name, both, decoded):
    path = write(tmp_path / name, count=75)
    for window in [*WINDOWS[:4], (10.0, 0.7, 0.8), (50.0, 2.0, None)]:
        both(path, window)
    decoded.clear()
    assert indices(read_frames(path, fps=1)) == [0, 30, 60]
    assert len(decoded) < 60  # of 75; x264 keeps some B-frames to refer to


def test_pictures_that_do_not_come_out_give_what_all_pictures_give(tmp_path, monkeypatch):
    path, plan, every = write(tmp_path / "a.mp4", count=75), video.plan_shown, video._every
    want, again = read_frames(path, fps=2), []
    monkeypatch.setattr(video, "_every", lambda *args: again.append(args) or every(*args))
    for wrong in (lambda *args: plan(*args)[1:], lambda *args: [*plan(*args), (10**9, 1)]):
        monkeypatch.setattr(video, "plan_shown", wrong)
        again.clear()
        assert torch.equal(read_frames(path, fps=2), want)
        assert len(again) == 1


def test_damage_to_a_picture_that_nobody_sees_is_no_error(tmp_path):
    path = write(tmp_path / "a.mp4")
    with av.open(str(path)) as source:
        packets = [packet for packet in source.demux(source.streams.video[0]) if packet.size]
        # Behind the four bytes of its size, a packet starts with the two bits that say whether others refer to it.
        unseen = next(packet for packet in packets[1:] if bytes(packet)[4] & 0x60 == 0)
        data = bytearray(path.read_bytes())
        data[unseen.pos + 8 : unseen.pos + unseen.size] = b"\xff" * (unseen.size - 8)
    want = read_frames(path)
    path.write_bytes(data)
    assert torch.equal(read_frames(path), want)


def write_moving(path, codec, **options):
    """Write a picture that moves, which encoders keep pictures of for later ones."""
    base = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(75):
            frame = av.VideoFrame.from_ndarray(np.roll(base, 2 * i, axis=1), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.webm", "libsvtav1", {"preset": "11"}),
        ("a.mp4", "libsvtav1", {"preset": "11", "svtav1-params": "pred-struct=1:hierarchical-levels=3"}),
        ("a.mkv", "libsvtav1", {"preset": "11", "g": "20"}),
        ("a.mp4", "libx265", {"x265-params": "log-level=0"}),
        ("a.mkv", "libx265", {"x265-params": "log-level=0:bframes=8:b-adapt=0"}),
    ],
)
def test_av1_and_hevc_have_the_same_bits_from_fewer_pictures(tmp_path, name, codec, options, both, decoded):
    if codec not in av.codecs_available:
        pytest.skip(f"needs {codec}")
    path = write_moving(tmp_path / name, codec, **options)
    for window in [*WINDOWS[:4], (10.0, 0.7, 0.8), (50.0, 2.0, None)]:
        both(path, window)
    decoded.clear()
    assert len(read_frames(path, fps=1)) == 3
    assert len(decoded) < 60  # of 75


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("b.avi", "libx264"), ("a.ts", "libx264"), ("a.ts", "libx265"), ("a.webm", "libvpx-vp9")],
)
def test_other_codecs_and_containers_decode_everything(tmp_path, name, codec, decoded):
    assert len(read_frames(write(tmp_path / name, codec), fps=1)) == 2
    assert len(decoded) == 60


def test_pictures_of_several_layers_of_hevc_are_all_decoded(tmp_path, decoded):
    path = write_moving(tmp_path / "a.mp4", "libx265", **{"x265-params": "log-level=0:temporal-layers=2"})
    assert len(read_frames(path, fps=1)) == 3
    assert len(decoded) == 75


@pytest.mark.parametrize("damage", [lambda data: data[:9], lambda data: data[:-4], lambda data: b"", lambda data: None])
def test_headers_that_are_not_understood_leave_nothing_out(damage, tmp_path):
    for name, codec, read in (("a.webm", "libsvtav1", av1.read_sequence), ("a.mp4", "libx265", has_one_layer)):
        with av.open(str(write_moving(tmp_path / name, codec))) as container:
            data = container.streams.video[0].codec_context.extradata
            assert read(data)
            broken = damage(data)
            assert not read(broken) or read(broken) == read(data)


def test_a_packet_of_av1_that_is_cut_off_is_decoded_as_it_is(tmp_path):
    with av.open(str(write_moving(tmp_path / "a.webm", "libsvtav1"))) as container:
        stream = container.streams.video[0]
        sequence = av1.read_sequence(stream.codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    rest = [av1.without_shown(packet, sequence) for packet in packets]
    assert rest[0] is None  # a key frame
    assert {b""} < {found for found in rest if found is not None}  # some bring pictures that are shown later
    alone = packets[rest.index(b"")]
    assert av1.without_shown(alone[:-3], sequence) is None
    assert av1.without_shown(b"", sequence) is None
