"""Draw a converted file as an echogram: time to the right, range downward, one panel per channel."""

import tempfile
from pathlib import Path
from typing import Any

import fsspec
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from sandbox.echogram_panels import Picture, picture_of

#: Perceptually uniform and readable with colour blindness; light colours are weak echoes.
_COLOURS = "magma_r"
_PANEL_INCHES = (11.0, 2.5)


def draw_echogram(
    output_uri: str,
    png: Path,
    storage_options: dict[str, Any] | None = None,
    title: str | None = None,
) -> None:
    """Draw the Zarr store or netCDF file at ``output_uri`` (a path or an s3:// URI) to ``png``.

    Colours show Sv from -90 to -30 dB if echopype can calibrate the file. Otherwise
    they show the recorded level from its 2nd to its 98th percentile. At most four
    channels are drawn, in order of frequency.

    Raises FileNotFoundError if nothing is there, or echopype's error if the file
    cannot be opened.
    """
    # The import takes seconds.
    from echopype import open_converted  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="echogram-") as folder:
        local = output_uri
        if "://" in output_uri:
            # echopype opens netCDF only from a local disk, and reads a Zarr store one
            # object at a time; downloading fetches the objects in parallel.
            filesystem, path = fsspec.url_to_fs(output_uri, **(storage_options or {}))
            local = str(Path(folder) / f"converted{Path(path).suffix}")
            filesystem.get(path, local, recursive=path.endswith(".zarr"))
        picture = picture_of(open_converted(local, storage_options={}))
    _draw(picture, png, title or output_uri.rstrip("/").rsplit("/", 1)[-1])


def _draw(picture: Picture, png: Path, title: str) -> None:
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
    figure.savefig(png, dpi=110)
