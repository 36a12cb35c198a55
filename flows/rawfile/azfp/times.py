"""What differs from echopype in the times and positions of an AZFP's pings."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.rawfile.corrections import Correction
from flows.walk.summary import FileSummary
from sonar_models import AZFP, AZFP6, SONAR_MODELS


def corrected_times(echodata: Any, summary: FileSummary) -> list[Correction]:  # noqa: ANN401 - echopype ships no types
    """The corrections of times and positions of an AZFP's pings; none for other models.

    Args:
        echodata: the EchoData of `flows.rawfile.azfp.parsers`.
        summary: summary of the walk.
    """
    if SONAR_MODELS[summary.sonar_model].format not in {AZFP, AZFP6}:
        return []
    times = echodata["Sonar/Beam_group1"]["ping_time"].values
    count = int(np.count_nonzero(times != times.astype("datetime64[s]")))
    what = "times of pings have their hundredths of a second"
    # Of a file without any position, echopype has one NaN.
    latitude = echodata["Platform"]["latitude"].values
    lacking = int(np.count_nonzero(np.isnan(latitude))) if latitude.size > 1 else 0
    no_fix = "positions of pings without a fix are NaN, not 0 N 0 E"
    found = [Correction(what, count), Correction(no_fix, lacking)]
    return [correction for correction in found if correction.count]
