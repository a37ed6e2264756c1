"""What a decoder is asked to do, and the filters that do it: the same words for both backends, so that they agree."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from pipelines.footage.chain import Chain, Filter
from pipelines.footage.fields import whole_frames
from pipelines.footage.light import Light, mapped
from pipelines.footage.square import fitted
from pipelines.footage.tags import ColourTags
from pipelines.footage.timeline import Clock
from pipelines.footage.turn import Turn
from pipelines.ingest.video.jpeg import Colour
from sstrack.clips.letterbox import Bars

TINY_H, TINY_W = 27, 48
_ROWS_PER_TINY = 3


@dataclass(frozen=True)
class DecodeTask:
    """One pass over stream number `stream` of an open file.

    Attributes:
        time_base: seconds per tick of the stream; all times below and in the answer are ticks.
        clock: makes pressed times, which all answers are in, of those that frames carry.
        timed: whether packets carry times; without any, frames are `rate` a second.
        rate: frames per second, to guess the time of a frame that carries none.
        turn: how frames are turned to stand upright.
        whole: whether frames flagged as interlaced are made whole first.
        light: the HDR that is taken to ordinary light, by the table in the file `table`.
        bars: black bars of upright frames, cut off first; `height` is without them.
        source: width and height of upright decoded frames without bars, in their own pixels.
        coded: width and height of decoded frames as they come, in pixels that are `shape` times as wide as high;
            `shape_stated`: by the container, for all frames.
        matrix: the colours' matrix that the container states and frames do not, as ffmpeg numbers it; 2 is none.
        planar: they are 8-bit YUV 4:2:0 already, as most video is; `colour` says what its numbers mean.
        size: width and height of stored frames; `fps`: how many of them a second; `quality` of their JPEGs.
        start, stop: a segment: frames from `start`, which is a keyframe, to before `stop`; None is the file's end.
        end: when the last frame of the video goes.
        seek: whether to jump to `start` rather than to decode up to it.
        seams: decoding times of packets that a demuxer may call broken though they are not.
        max_pixels: a frame with more is refused by the decoder, also where a stream grows in its course.
    """

    stream: int
    time_base: Fraction
    clock: Clock
    timed: bool
    rate: Fraction
    turn: Turn
    whole: bool
    light: Light | None
    bars: Bars
    height: int
    source: tuple[int, int]
    coded: tuple[int, int]
    shape: Fraction
    shape_stated: bool
    planar: bool
    matrix: int
    colour: Colour
    size: tuple[int, int]
    fps: Fraction
    quality: int
    max_pixels: int
    end: int
    start: int | None = None
    stop: int | None = None
    seek: bool = True
    table: str = ""
    seams: frozenset[int] = frozenset()

    @property
    def fit(self) -> Chain:
        """Filters that bring a frame of another size or shape than the first to that one's, between black bars where it
        has to be."""
        return fitted(self.coded, self.shape, self.shape if self.shape_stated else None)

    @property
    def upright(self) -> Chain:
        """Filters that all frames pass first."""
        bars = self.bars
        stated: Chain = () if self.matrix == ColourTags().matrix else (("setparams", {"colorspace": self.matrix}),)
        standing = (*stated, *(whole_frames(self.time_base) if self.whole else ()), *self.turn.chain)
        if not bars:
            return standing
        inside = {
            "w": f"iw-{bars.left + bars.right}",
            "h": f"ih-{bars.top + bars.bottom}",
            "x": bars.left,
            "y": bars.top,
        }
        return (*standing, ("crop", inside))

    @property
    def tiny(self) -> Chain:
        """Filters that make a tiny luma frame of every frame.

        Taking every other row is free of copies (`field`) and leaves enough of them for a mean: 0.04 instead of
        0.21 ms for a 720p frame.
        """
        halvings = max(0, (self.height // (_ROWS_PER_TINY * TINY_H)).bit_length() - 1)
        rows: Chain = (("field", {"type": "top"}),) * halvings
        small: Filter = ("scale", {"w": TINY_W, "h": TINY_H, "flags": "area"})
        return (*rows, small, *self._ordinary((("format", {"pix_fmts": "gray"}),)))

    @property
    def stored(self) -> Chain:
        """Filters that pick the frames to be stored and hand over their planes, in `given_size` and `given_colour`.

        Planar frames pass untouched, as `picture.to_jpeg` scales and converts them in less than half the time; a filter
        scales only where a stream changes its size. Rarer formats become 4:2:0 of the stored size here.
        """
        width, height = self.given_size
        rate: Filter = ("fps", {"fps": f"{self.fps.numerator}/{self.fps.denominator}"})
        scale = {"w": width, "h": height, "flags": "bilinear"}
        if self.planar:
            return (rate, ("format", {"pix_fmts": "yuv420p|yuvj420p"}), ("scale", scale))
        full = {"out_range": "full", "out_color_matrix": "bt601"}
        planes: Filter = ("format", {"pix_fmts": "yuv420p"})
        if self.light is not None:
            return (rate, ("scale", scale), *self._ordinary((("scale", full), planes)))
        return (rate, ("scale", {**scale, **full}), planes)

    def _ordinary(self, rest: Chain) -> Chain:
        """`rest` behind what takes HDR to ordinary light, where there is any."""
        return rest if self.light is None else mapped(self.table, rest)

    @property
    def given_size(self) -> tuple[int, int]:
        """Width and height of the planes that `stored` gives."""
        return self.source if self.planar else self.size

    @property
    def given_colour(self) -> Colour:
        """What the numbers in those planes mean."""
        return self.colour if self.planar else Colour(full_range=True)

    def number(self, tick: int) -> int:
        """Number of the stored frame that first shows what appears at `tick`: nearest, halves away from zero."""
        above, below = self._pace
        whole = (2 * abs(tick) * above + below) // (2 * below)
        return whole if tick >= 0 else -whole

    @cached_property
    def _pace(self) -> tuple[int, int]:
        """Stored frames per tick as a fraction of plain integers, ten times as fast to reckon with."""
        return (self.time_base * self.fps).as_integer_ratio()
