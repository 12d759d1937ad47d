"""Labels beside points, placed so that they cover nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians, sin

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

ANGLES = (45, -45, 135, -135, 90, -90, 0, 180)
"""Directions of a label from its point, in degrees, the preferred first."""
DISTANCES = (6, 14, 24)
"""Distances of a label's nearest corner or side from its point, in points."""
MARK = 4
"""Half the side of a point's mark, in points."""


@dataclass(frozen=True)
class Place:
    """A place beside a point, in points; the text grows away from the point."""

    x: float
    y: float

    @property
    def horizontal(self) -> str:
        return "center" if abs(self.x) < 1 else "left" if self.x > 0 else "right"

    @property
    def vertical(self) -> str:
        return "center" if abs(self.y) < 1 else "bottom" if self.y > 0 else "top"

    def box(self, point: tuple[float, float], size: tuple[float, float], pixels: float) -> Bbox:
        """Return the box of a text of this size beside a point; all in pixels.

        Args:
            pixels: pixels in a point.
        """
        x, y = point[0] + self.x * pixels, point[1] + self.y * pixels
        left = x - size[0] * {"left": 0, "center": 0.5, "right": 1}[self.horizontal]
        bottom = y - size[1] * {"bottom": 0, "center": 0.5, "top": 1}[self.vertical]
        return Bbox.from_bounds(left, bottom, *size)


PLACES = [
    Place(distance * cos(radians(angle)), distance * sin(radians(angle))) for distance in DISTANCES for angle in ANGLES
]


def write_beside(axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Write a text beside each point, inside the axes where there is room, where it covers the fewest marks and texts.

    The figure's layout must be final: a later change of the axes moves the points.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are drawn in a figure"
    pixels = figure.dpi / 72
    centres = [(x, y) for x, y in axes.transData.transform(list(points))]
    taken = [Bbox([[x - MARK * pixels, y - MARK * pixels], [x + MARK * pixels, y + MARK * pixels]]) for x, y in centres]
    for point, centre, text in zip(points, centres, texts, strict=True):
        note = axes.annotate(text, point, (0, 0), textcoords="offset points", fontsize=7, zorder=5)
        size = note.get_window_extent().size
        boxes = [place.box(centre, size, pixels) for place in PLACES]
        best = min(range(len(PLACES)), key=lambda index: covered(boxes[index], taken, axes.bbox))
        taken.append(boxes[best])
        place = PLACES[best]
        note.set(position=(place.x, place.y), ha=place.horizontal, va=place.vertical)


def covered(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> tuple[int, int]:
    """Count the edges that a box crosses, and the boxes that it covers."""
    crossed = (box.x0 < inside.x0) + (box.x1 > inside.x1) + (box.y0 < inside.y0) + (box.y1 > inside.y1)
    return int(crossed), box.count_overlaps(taken)
