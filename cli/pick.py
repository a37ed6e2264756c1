"""A window with the first frame on which a person draws the targets. Needs a display; tkinter comes with Python."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cli.window import open_window, scale_of
from pipelines.errors import UsageError

if TYPE_CHECKING:
    import tkinter

Box = tuple[float, float, float, float]
_LEAST = 4


class BoxPicker:
    """Rectangles drawn with the left button on a picture shown in a tkinter window."""

    def __init__(self, window: "tkinter.Tk", frame: NDArray[np.uint8]) -> None:
        """Fill `window` with `frame` [H, W, 3] RGB, shrunk where it is larger than a usual screen."""
        import tkinter

        from PIL import Image, ImageTk

        height, width = frame.shape[:2]
        self.boxes: list[Box] = []
        self._scale = scale_of(frame)
        shown = Image.fromarray(frame).resize((round(width * self._scale), round(height * self._scale)))
        self._photo = ImageTk.PhotoImage(shown, master=window)
        self._canvas = tkinter.Canvas(window, width=shown.width, height=shown.height, cursor="crosshair")
        self._canvas.create_image(0, 0, image=self._photo, anchor="nw")
        self._canvas.pack()
        window.title("Draw the targets, Enter to go on, Backspace takes the last one back, Esc to give up")
        self._window, self._corner, self._marks = window, (0, 0), list[int]()
        self._canvas.bind("<ButtonPress-1>", self._press)
        self._canvas.bind("<B1-Motion>", self._drag)
        self._canvas.bind("<ButtonRelease-1>", self._release)
        window.bind("<Return>", lambda _: window.quit())
        window.bind("<BackSpace>", lambda _: self._take_back())
        window.bind("<Escape>", lambda _: (self.boxes.clear(), window.quit()))
        window.protocol("WM_DELETE_WINDOW", lambda: (self.boxes.clear(), window.quit()))

    def _press(self, event: "tkinter.Event") -> None:
        self._corner = event.x, event.y
        self._marks.append(self._canvas.create_rectangle(*self._corner, *self._corner, outline="#28dc78", width=2))

    def _drag(self, event: "tkinter.Event") -> None:
        self._canvas.coords(self._marks[-1], *self._corner, event.x, event.y)

    def _release(self, event: "tkinter.Event") -> None:
        (left, right), (top, bottom) = sorted((self._corner[0], event.x)), sorted((self._corner[1], event.y))
        if right - left < _LEAST or bottom - top < _LEAST:
            self._canvas.delete(self._marks.pop())
            return
        x, y, w, h = (value / self._scale for value in (left, top, right - left, bottom - top))
        self.boxes.append((x, y, w, h))

    def _take_back(self) -> None:
        if self.boxes:
            self.boxes.pop()
            self._canvas.delete(self._marks.pop())


def pick_boxes(frame: NDArray[np.uint8]) -> list[Box]:
    """Boxes, xywh in pixels of `frame`, that a person draws. Raises UsageError without a display, tkinter, or a box."""
    window = open_window("--pick (else give --box x,y,w,h)")
    try:
        picker = BoxPicker(window, frame)
        window.mainloop()
        boxes = list(picker.boxes)
    finally:
        window.destroy()
    if not boxes:
        raise UsageError("no target was drawn; draw one, or give --box x,y,w,h")
    return boxes
