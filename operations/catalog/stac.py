"""A STAC 1.1 catalogue as plain values: a catalogue, a collection for each cruise, an item for each output.

Sources: stac-spec v1.1.0; the datacube extension v2.2.0. The projection extension does not fit: an
output has no map projection. Links and assets are relative URLs; `raw` is the URI of the upload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from operations.catalog.facts import Facts
from operations.catalog.geometry import geometry_of, united

STAC = "1.1.0"
DATACUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
CATALOG = "catalog/catalog.json"
CRUISES = "catalog/cruises/"

_ZARR = "application/vnd.zarr"
_JSON = "application/json"

# Path in the output bucket or folder -> content.
Document = tuple[str, dict[str, Any]]


def collection_path(cruise: str) -> str:
    """Where the collection of a cruise is; `''` are the outputs in no folder."""
    return f"{CRUISES}{cruise}/collection.json" if cruise else f"{CRUISES}collection.json"


def item_path(output: str) -> str:
    """Where the item of an output is."""
    return f"{CRUISES}{output}.json"


def documents(outputs: Iterable[Facts], uri: str) -> Iterator[Document]:
    """All items, then all collections, then the catalogue, so that no link is ahead of its target.

    `uri` is that of the output bucket or folder.
    """
    cruises: dict[str, list[Facts]] = {}
    for facts in sorted(outputs, key=lambda each: str(each["output"])):
        cruises.setdefault(facts["cruise"], []).append(facts)
        yield item_path(facts["output"]), _item(facts)
    for cruise, members in cruises.items():
        yield collection_path(cruise), _collection(cruise, members, uri)
    yield CATALOG, _catalog(cruises, uri)


def _item(facts: Facts) -> dict[str, Any]:
    path, box = item_path(facts["output"]), facts["box"]
    first, last = facts["first"], facts["last"]
    properties: dict[str, Any] = {
        "title": facts["name"],
        # An output without ping times has the time of its publication alone.
        "datetime": None if first else facts["published_at"],
        **({"start_datetime": first, "end_datetime": last} if first else {}),
        "created": facts["published_at"],
        "instruments": [facts["model"]],
        **{
            f"echodrop:{name}": facts[name]
            for name in ("model", "channel_ids", "frequencies", "pings", "source_bytes", "bytes")
        },
        **{f"echodrop:{name}": facts[name] for name in ("missing", "quality", "corrections")},
    }
    cube = _dimensions(facts)
    if cube:
        properties["cube:dimensions"] = cube
    return {
        "type": "Feature",
        "stac_version": STAC,
        "stac_extensions": [DATACUBE] if cube else [],
        "id": facts["output"].rpartition("/")[2],
        "geometry": geometry_of(facts["track"], box),
        **({"bbox": box} if box else {}),
        "properties": properties,
        "collection": _collection_id(facts["cruise"]),
        "links": [
            _link(path, "root", CATALOG, _JSON),
            _link(path, "parent", collection_path(facts["cruise"]), _JSON),
            _link(path, "collection", collection_path(facts["cruise"]), _JSON),
        ],
        "assets": dict(_assets(path, facts)),
    }


def _assets(path: str, facts: Facts) -> Iterator[tuple[str, dict[str, Any]]]:
    store = _ZARR if facts["output"].endswith(".zarr") else "application/netcdf"
    for name, target, kind, role in (
        ("store", facts["output"], store, "data"),
        ("manifest", facts["manifest"], _JSON, "metadata"),
        ("picture", facts["picture"], "image/png", "overview"),
        ("thumbnail", facts["thumbnail"], "image/png", "thumbnail"),
        ("viewer", facts["viewer"], _ZARR, "visual"),
    ):
        if target is not None:
            yield name, {"href": _relative(path, target), "type": kind, "roles": [role]}
    raw = {"href": _escaped(facts["raw"]), "type": "application/octet-stream", "roles": ["source"]}
    yield "raw", raw


def _dimensions(facts: Facts) -> dict[str, Any]:
    """The dimensions of the first group of beams; none without ping times."""
    cube: dict[str, Any] = {}
    for name, size in facts["dimensions"].items():
        if name == "ping_time" and facts["first"]:
            cube[name] = {"type": "temporal", "extent": [facts["first"], facts["last"]]}
        elif name == "channel" and len(facts["channel_ids"]) == size:
            cube[name] = {"type": "channel", "values": facts["channel_ids"]}
        elif name != "ping_time" and size:
            cube[name] = {"type": "index", "extent": [0, size - 1], "step": 1}
    return cube if "ping_time" in cube else {}


def _collection(cruise: str, members: Sequence[Facts], uri: str) -> dict[str, Any]:
    path = collection_path(cruise)
    first = min(each["first"] or each["published_at"] for each in members)
    last = max(each["last"] or each["published_at"] for each in members)
    whole = united(each["box"] for each in members if each["box"])
    return {
        "type": "Collection",
        "stac_version": STAC,
        "id": _collection_id(cruise),
        "title": cruise or "(no folder)",
        "description": f"Echosounder recordings of {cruise or 'no folder'} in {uri}",
        "license": "other",
        "extent": {"spatial": {"bbox": [whole]}, "temporal": {"interval": [[first, last]]}},
        "summaries": {"instruments": sorted({each["model"] for each in members})},
        "links": [
            _link(path, "root", CATALOG, _JSON),
            _link(path, "parent", CATALOG, _JSON),
            *(
                _link(path, "item", item_path(each["output"]), "application/geo+json")
                for each in members
            ),
        ],
    }


def _catalog(cruises: Iterable[str], uri: str) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "stac_version": STAC,
        "id": "echodrop",
        "title": "Echosounder recordings",
        "description": f"The verified outputs in {uri}",
        "links": [
            _link(CATALOG, "root", CATALOG, _JSON),
            *(_link(CATALOG, "child", collection_path(each), _JSON) for each in cruises),
        ],
    }


def _collection_id(cruise: str) -> str:
    return cruise or "(no folder)"


def _link(path: str, relation: str, target: str, kind: str) -> dict[str, str]:
    return {"rel": relation, "href": _relative(path, target), "type": kind}


def _relative(path: str, target: str) -> str:
    """The relative URL from one file to another; './' keeps a name with a colon from being a scheme."""
    up = path.count("/")
    common = 0
    for mine, other in zip(path.split("/")[:-1], target.split("/")[:-1], strict=False):
        if mine != other:
            break
        common += 1
    rest = "/".join(target.split("/")[common:])
    return f"{'../' * (up - common) or './'}{quote(rest)}"


def _escaped(uri: str) -> str:
    """The upload's location as a URL; keys in our S3 URIs are not escaped."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        # A path of Windows, or a relative one, is no file URL on this machine.
        return Path(uri).as_uri() if Path(uri).is_absolute() else quote(uri)
    return f"s3://{quote(rest)}" if scheme == "s3" else uri
