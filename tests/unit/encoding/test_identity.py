from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from flows.publishing.identity import differences


def tree() -> xr.DataTree:
    beam = xr.Dataset(
        {
            "power": (("ping_time", "range_sample"), np.array([[0.0, 1.0], [np.nan, 3.0]])),
            "mode": ("ping_time", np.array(["CW", "FM"])),
            "count": ((), np.int16(3)),
        },
        coords={"ping_time": np.array(["2007-07-24", "2007-07-25"], "datetime64[ns]")},
        attrs={"beam_mode": "vertical"},
    )
    beam["power"].attrs = {"valid_range": (0.0, 360.0)}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "x"}), "/Sonar/Beam": beam})


def change(path: str, edit: Callable[[xr.Dataset], object]) -> xr.DataTree:
    changed = tree()
    dataset = changed[path].to_dataset().copy(deep=True)
    edit(dataset)
    changed[path].dataset = dataset
    return changed


def values(name: str, new: object) -> Callable[[xr.Dataset], object]:
    return lambda dataset: dataset.update({name: dataset[name].copy(data=new)})


def test_a_tree_is_identical_to_itself() -> None:
    assert differences(tree(), tree()) == []


def test_a_nan_with_another_payload_differs() -> None:
    other = np.array([[0.0, 1.0], [np.nan, 3.0]])
    assert differences(tree(), change("/Sonar/Beam", values("power", other))) == []
    other.view("u8")[1, 0] ^= 1
    assert np.isnan(other[1, 0])
    (difference,) = differences(tree(), change("/Sonar/Beam", values("power", other)))
    assert "power: 1 values of a chunk, the first at [1, 0]" in str(difference)


def test_sequences_are_compared_by_their_elements() -> None:
    def as_array(dataset: xr.Dataset) -> None:
        dataset["power"].attrs["valid_range"] = np.array([0.0, 360.0])

    assert differences(tree(), change("/Sonar/Beam", as_array)) == []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (values("power", np.array([[-0.0, 1.0], [np.nan, 3.0]])), "Sonar/Beam, power: 1 values"),
        (values("power", np.array([[0.0, 1.0], [2.0, 3.0]])), r"power: 1 values.*\[1, 0\]"),
        (values("power", np.zeros((2, 2), np.float32)), "power: dtype: expected float64"),
        (values("mode", np.array(["CW", "LF"])), "mode: 1 values.*FM.*LF"),
        (values("count", np.int16(4)), "count: 1 values"),
        (lambda d: d.__setitem__("mode", ("range_sample", ["CW", "FM"])), "mode: dimensions"),
        (lambda d: d.__delitem__("mode"), r"variables: expected also \['mode'\]"),
        (lambda d: d.__setitem__("new", 1), r"variables: .*found also \['new'\]"),
        (lambda d: d.attrs.update(beam_mode="side"), "attribute beam_mode: .*vertical.*side"),
        (lambda d: d["power"].attrs.update(valid_range=(0.0, 1.0)), "attribute valid_range"),
        (lambda d: d["power"].attrs.clear(), r"power: attributes: .*valid_range"),
        (
            lambda d: d.update({"ping_time": d["ping_time"].values + np.timedelta64(1, "ns")}),
            "ping_time: 2 values",
        ),
    ],
)
def test_a_difference_has_its_name(edit: Callable[[xr.Dataset], object], message: str) -> None:
    found = differences(tree(), change("/Sonar/Beam", edit))
    assert len(found) >= 1
    assert any(re.search(message, str(difference)) for difference in found), found


def test_a_missing_group_is_reported() -> None:
    other = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "x"}), "/Sonar": xr.Dataset()})
    assert "Sonar/Beam" in str(differences(tree(), other)[0])


def test_only_chosen_values_are_read() -> None:
    changed = change("/Sonar/Beam", values("power", np.zeros((2, 2))))
    assert differences(tree(), changed, only={"Sonar/Beam": {"mode"}}) == []
    assert len(differences(tree(), changed, only={"Sonar/Beam": {"power"}})) == 1
