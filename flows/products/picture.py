"""Draws a picture: time to the right, range downward, one panel for each channel."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from flows.products.panels import EchogramPicture

#: Perceptually uniform and readable with colour blindness; light colours are weak echoes.
_COLOURS = "magma_r"
_PANEL_INCHES = (11.0, 2.5)


def draw(picture: EchogramPicture, title: str) -> Figure:
    """Draw the panels below each other with one time axis and one colour bar."""
    count = len(picture.panels)
    figure = Figure(
        figsize=(_PANEL_INCHES[0], 0.9 + _PANEL_INCHES[1] * count), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    image = None
    for axis, panel in zip(axes, picture.panels, strict=True):
        axis.set_title(panel.title, loc="left", fontsize=10)
        axis.set_ylabel("Range (m)" if panel.in_metres else "Sample")
        if panel.decibels.size:
            image = axis.pcolormesh(
                panel.times,
                panel.ranges,
                panel.decibels.T,
                shading="nearest",
                cmap=_COLOURS,
                vmin=picture.limits[0],
                vmax=picture.limits[1],
                rasterized=True,
            )
            axis.set_ylim(panel.ranges[-1], 0)
        axis.set_facecolor("0.85")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call] # matplotlib.dates is untyped
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
    axes[-1].set_xlabel("Time (UTC)")
    if image is not None:
        bar: Colorbar = figure.colorbar(image, ax=list(axes), extend="both", pad=0.01, aspect=40)
        bar.set_label(picture.quantity)
    figure.suptitle(title, fontsize=12)
    return figure
