"""A complete output, opened once for all of its products, and what their record says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any

from flows.core.locations import PRODUCTS_SUFFIX
from flows.products.product_files import ProductFiles

if TYPE_CHECKING:
    from flows.products.echogram import Echogram
    from flows.products.sv.gridded import Gridded

PRODUCTS_VERSION = 1
_SOFTWARE = ("echodrop", "echopype", "pillow")


class CompleteOutput:
    """A complete output, opened once for all of its products."""

    def __init__(
        self,
        output: str,
        storage_options: Mapping[str, Any] | None,
        manifest: Mapping[str, Any],
        colours: str,
    ) -> None:
        self.output = output
        self.colours = colours
        self.manifest = manifest
        self._options = storage_options

    @cached_property
    def echodata(self) -> Any:  # noqa: ANN401 - echopype ships no types
        """The opened output."""
        from flows.products.opened_output import open_for_products  # noqa: PLC0415 - echopype: seconds

        return open_for_products(self.output, self._options)

    @cached_property
    def echogram(self) -> Echogram:
        """What its picture shows."""
        from flows.products.echogram import sv_echogram  # noqa: PLC0415 - as above
        from flows.products.nortek import nortek_echogram  # noqa: PLC0415 - as above

        if self.echodata.sonar_model == "AD2CP":
            return nortek_echogram(self.echodata)
        return sv_echogram(self.echodata, self.gridded, self.manifest)

    @cached_property
    def gridded(self) -> Gridded:
        """Its panels of Sv."""
        from flows.products.sv.gridded import gridded  # noqa: PLC0415 - as above

        return gridded(self.echodata)

    def record_before(self, files: ProductFiles) -> dict[str, Any]:
        """What an earlier run made of the same output."""
        empty: dict[str, Any] = {"products": {}, "picture": None, "seconds": {}}
        body = files.read(PRODUCTS_SUFFIX)
        if body is None:
            return empty
        try:
            before: dict[str, Any] = json.loads(body)
            is_same = before["output_sha256"] == self.manifest["output"]["sha256"]
            return {name: before[name] for name in empty} if is_same else empty
        except (ValueError, KeyError, TypeError):
            return empty

    def described(self) -> dict[str, Any]:
        """The record's other fields."""
        fields: dict[str, Any] = {
            "products_version": PRODUCTS_VERSION,
            "made_at": datetime.now(UTC).isoformat(),
            "output": self.output,
            "output_sha256": self.manifest["output"]["sha256"],
            "software": {name: metadata.version(name) for name in _SOFTWARE},
        }
        if "echogram" in self.__dict__:
            fields["picture"] = {
                "quantity": self.echogram.quantity,
                "vertical": self.echogram.vertical,
                "panels": [panel.title for panel in self.echogram.panels],
                "every_ping": self.echogram.every_ping,
                "notes": self.echogram.notes,
            }
        return fields
