"""The facts of a recording under its picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.core.public_uri import public_uri
from flows.products.sv.platform import PlatformTrack


def title_of(echodata: Any, manifest: Mapping[str, Any]) -> str:  # noqa: ANN401 - echopype ships no types
    """The raw file's name, and the ship's where the file has one."""
    name: str = public_uri(manifest["source"]["uri"]).rpartition("/")[2]
    platform = echodata["Platform"]
    ship = str(platform.attrs.get("platform_name") or "").strip() if platform is not None else ""
    return f"{name}, {ship}" if ship else name


def facts_of(echodata: Any, manifest: Mapping[str, Any], track: PlatformTrack) -> list[str]:  # noqa: ANN401 - as above
    """Instrument, time and positions, a phrase each."""
    sonar = echodata["Sonar"].attrs
    # echopype names its own parser as the software of other makers' files.
    is_simrad = sonar.get("sonar_manufacturer") == "Simrad"
    software = " ".join(
        str(sonar.get(f"sonar_software_{part}") or "") for part in ("name", "version")
    )
    facts = [
        ", ".join(filter(None, (manifest["sonar"]["model"], software.strip() if is_simrad else "")))
    ]
    if times := manifest["contents"]["time_range"]:
        first, last = (str(times[end]).replace("T", " ")[:19] for end in ("first", "last"))
        facts.append(f"{first} to {last[11:] if last[:10] == first[:10] else last} UTC")
    if track.times.size:
        facts.append(" to ".join(dict.fromkeys(_position(track, fix) for fix in (0, -1))))
    return facts


def _position(track: PlatformTrack, fix: int) -> str:
    north = float(track.latitude[fix])
    east = (float(track.longitude[fix]) + 180) % 360 - 180
    return f"{abs(north):.4f}° {'NS'[north < 0]} {abs(east):.4f}° {'EW'[east < 0]}"
