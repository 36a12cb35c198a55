"""An opened file with few of its arrays: how it is published does not depend on their number."""

import copy
import dataclasses

import xarray as xr

from flows.conversion import OpenedRaw


def few_arrays(tree: xr.DataTree) -> xr.DataTree:
    """The samples, a few arrays beside them, and the groups that a publication reads."""
    names = ["backscatter_r", "sample_interval", "beam_type", "frequency_nominal"]
    return xr.DataTree.from_dict(
        {
            "/": tree.to_dataset(),
            "Provenance": tree["Provenance"].to_dataset(),
            "Sonar": tree["Sonar"].to_dataset()[["beam_group_descr"]],
            "Sonar/Beam_group1": tree["Sonar/Beam_group1"].to_dataset()[names],
        }
    )


def with_few_arrays(opened: OpenedRaw) -> OpenedRaw:
    """The file as if it had few arrays, so that each publication is fast."""
    echodata = copy.copy(opened.echodata)
    echodata._set_tree(few_arrays(echodata._tree))
    return dataclasses.replace(opened, echodata=echodata)
