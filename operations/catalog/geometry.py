"""Tracks and boxes as GeoJSON, and boxes of several outputs. Pure; degrees, longitude first.

Format: RFC 7946 (section 3.1.9, the antimeridian; 5, boxes).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

Point = Sequence[float]
Box = Sequence[float]
Geometry = dict[str, Any]

_WORLD = [-180.0, -90.0, 180.0, 90.0]


def geometry_of(track: Sequence[Point] | None, box: Box | None) -> Geometry | None:
    """The geometry of an output: its track, else its box; None without positions.

    Args:
        track: points in the order of time.
        box: west, south, east, north; west greater than east if it crosses the antimeridian.
    """
    if track:
        return _line(track)
    return _area(box) if box else None


def _line(track: Sequence[Point]) -> Geometry:
    lines = _cut(track)
    if len(lines) > 1:
        return {"type": "MultiLineString", "coordinates": lines}
    if len(lines[0]) > 1:
        return {"type": "LineString", "coordinates": lines[0]}
    return {"type": "Point", "coordinates": lines[0][0]}


def _area(box: Box) -> Geometry:
    west, south, east, north = box
    if (west, south) == (east, north):
        return {"type": "Point", "coordinates": [west, south]}
    if west <= east:
        return {"type": "Polygon", "coordinates": [_ring(west, south, east, north)]}
    halves = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]]
    return {"type": "MultiPolygon", "coordinates": halves}


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _cut(track: Sequence[Point]) -> list[list[list[float]]]:
    """The track in lines, none of which crosses the antimeridian; each has two points or is the only one."""
    lines = [[list(track[0])]]
    for (east, north), (to_east, to_north) in pairwise(track):
        if abs(to_east - east) > 180:
            edge = 180.0 if east > 0 else -180.0
            # The step to the same place, counted on beyond the antimeridian.
            step = to_east + 2 * edge - east
            share = (edge - east) / step if step else 0.0
            at = north + share * (to_north - north)
            lines[-1].append([edge, at])
            lines.append([[-edge, at]])
        lines[-1].append([to_east, to_north])
    # A track that begins or ends on the antimeridian leaves a line without length there.
    return [line for line in lines if any(point != line[0] for point in line)] or [lines[0][:1]]


def united(boxes: Iterable[Box]) -> list[float]:
    """The narrowest box around boxes; the whole world without one."""
    known = list(boxes)
    if not known:
        return _WORLD
    south, north = min(box[1] for box in known), max(box[3] for box in known)
    spans = sorted((box[0], box[2] + 360 * (box[2] < box[0])) for box in known)
    # Around the globe, what is outside of the result is the widest gap between the spans.
    end = max(spans[0][1], max(span[1] for span in spans) - 360)
    widest = (0.0, -180.0, 180.0)
    for west, east in [*spans[1:], (spans[0][0] + 360, spans[0][1] + 360)]:
        widest = max(widest, (west - end, west, end))
        end = max(end, east)
    gap, west, east = widest
    if gap <= 0:
        return [_WORLD[0], south, _WORLD[2], north]
    return [_longitude(west), south, _longitude(east), north]


def _longitude(degrees: float) -> float:
    if degrees > 180:
        return degrees - 360
    return degrees + 360 if degrees < -180 else degrees
