"""A window that shows frames as they are tracked. Needs a display; tkinter comes with Python."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import UsageError

if TYPE_CHECKING:
    import tkinter

LARGEST = (1280, 800)
"""Width and height that a picture is shrunk to where it is larger."""


def open_window(option: str) -> "tkinter.Tk":
    """An empty window for the command line's `option`. Raises UsageError without a display or tkinter."""
    try:
        import tkinter
    except ImportError as error:
        raise UsageError(f"{option} needs tkinter, which this Python lacks") from error
    try:
        return tkinter.Tk()
    except tkinter.TclError as error:
        raise UsageError(f"{option} needs a display ({error})") from error


def scale_of(frame: NDArray[np.uint8]) -> float:
    """Factor, at most 1, that brings `frame` into `LARGEST`."""
    return min(1.0, LARGEST[0] / frame.shape[1], LARGEST[1] / frame.shape[0])


@contextmanager
def live_window(option: str) -> Iterator[Callable[[NDArray[np.uint8]], bool]]:
    """Yield `show(frame)`, which puts an RGB frame [H, W, 3] into a window and says whether to go on: Esc, or closing
    the window, answers no. Raises UsageError without a display or tkinter."""
    from PIL import Image, ImageTk

    window = open_window(option)
    going = True

    def stop(_: object = None) -> None:
        nonlocal going
        going = False

    try:
        import tkinter

        label = tkinter.Label(window, borderwidth=0)
        label.pack()
        window.title("Esc stops and writes what was tracked")
        window.bind("<Escape>", stop)
        window.protocol("WM_DELETE_WINDOW", stop)

        def show(frame: NDArray[np.uint8]) -> bool:
            scale = scale_of(frame)
            size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
            photo = ImageTk.PhotoImage(Image.fromarray(frame).resize(size), master=window)
            label.configure(image=photo)
            label.photo = photo  # type: ignore[attr-defined] - tkinter keeps no reference of its own
            window.update()
            return going

        yield show
    finally:
        window.destroy()
