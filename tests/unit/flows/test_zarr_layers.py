from __future__ import annotations

import zarr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.encoding.zarr_layers import hidden_first, is_metadata, layers_of


def _store(zarr_format: int) -> dict[str, bytes]:
    memory: dict[str, zarr.core.buffer.Buffer] = {}
    store = zarr.storage.MemoryStore(memory)
    root = zarr.create_group(store, zarr_format=zarr_format)  # type: ignore[arg-type]  # 2 or 3
    group = root.create_group("Sonar", attributes={"a": 1}).create_group("Beam_group1")
    array = group.create_array("zarr.json-like", shape=(4,), chunks=(2,), dtype="i2")
    array[:] = [1, 2, 3, 4]
    array.attrs["long_name"] = "x"
    zarr.consolidate_metadata(store)
    return {key: body.to_bytes() for key, body in memory.items()}


def _opens(objects: dict[str, bytes]) -> bool:
    buffer = zarr.core.buffer.cpu.Buffer.from_bytes
    store = zarr.storage.MemoryStore({k: buffer(v) for k, v in objects.items()}, read_only=True)
    for path in ("", "Sonar", "Sonar/Beam_group1"):
        try:
            zarr.open_group(store, path=path, mode="r")
        except FileNotFoundError:
            continue
        return True
    return False


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([2, 3]))
def test_nothing_opens_until_the_groups_are_there(zarr_format: int) -> None:
    objects = _store(zarr_format)
    layers = layers_of(objects)
    assert {**layers.arrays, **layers.groups, **layers.root} == objects
    assert not _opens(layers.arrays)
    assert _opens(layers.arrays | layers.groups)
    assert all("/" not in key for key in layers.root)


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([2, 3]))
def test_an_old_store_is_closed_by_its_keys_alone(zarr_format: int) -> None:
    objects = _store(zarr_format)
    root, others = hidden_first(objects)
    left = {key: body for key, body in objects.items() if key not in {*root, *others}}
    assert not _opens(left)
    assert left
    assert not any(is_metadata(key) for key in left)
