"""Checks the parameters of a flow against its signature.

The flows check them in their bodies. Prefect's own check ends a run before it begins,
as plain Failed; this one ends it as InvalidParameters.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from flows.core.outcomes import InvalidParameters
from flows.stores.request import ConversionRequest

_REQUEST_FIELDS = frozenset(field.name for field in dataclasses.fields(ConversionRequest))


def checked_parameters(
    function: Callable[..., object], given: Mapping[str, Any], **more: type
) -> dict[str, Any]:
    """The given parameters of a flow, converted to the types in its signature.

    Args:
        function: function of the flow.
        given: name to value.
        more: names and types of additional parameters, all optional.

    Raises:
        InvalidParameters: with the name of each invalid parameter. Values are left out,
            because storage options contain credentials.
    """
    try:
        checked = _model(function, tuple(more.items()))(**given)
    except ValidationError as error:
        message = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise InvalidParameters(message) from None
    return {name: getattr(checked, name) for name in checked.model_fields_set}


def requested_conversion(
    parameters: Mapping[str, Any], run: Mapping[str, Any]
) -> ConversionRequest:
    """The conversion that checked parameters of `convert_raw_sonar` request.

    Args:
        parameters: None stands for the default.
        run: `owner` and `run` of the ConversionRequest.

    Raises:
        InvalidParameters: a parameter is invalid.
    """
    return ConversionRequest(
        **{
            name: value
            for name, value in parameters.items()
            if name in _REQUEST_FIELDS and value is not None
        },
        **run,
    )


@cache
def _model(
    function: Callable[..., object], more: tuple[tuple[str, type], ...]
) -> Callable[..., BaseModel]:
    fields: dict[str, Any] = {
        name: (
            parameter.annotation,
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
    }
    fields |= {name: (type_ | None, None) for name, type_ in more}
    return create_model("Parameters", __config__=ConfigDict(extra="forbid"), **fields)
