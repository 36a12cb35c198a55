"""The option `--model` of several commands."""

from __future__ import annotations

from typing import Annotated

import typer

from sonar_models import SONAR_MODELS


def _known(model: str | None) -> str | None:
    if model and model.upper() not in SONAR_MODELS:
        raise typer.BadParameter(f"{model} is none of {', '.join(SONAR_MODELS)}")
    return model


Model = Annotated[
    str | None,
    typer.Option(
        help="Sonar model. Default: detected from the file's first bytes.",
        callback=_known,
        autocompletion=lambda: list(SONAR_MODELS),
    ),
]
