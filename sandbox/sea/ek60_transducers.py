"""Transducers of a research vessel with typical settings.

Gains, equivalent beam angles and beam widths are close to Simrad's data sheets.
Transmit powers follow Korneliussen et al. (2008, ICES J. Mar. Sci. 65, 982-994),
which avoid non-linear loss. Absorption follows Francois and Garrison (1982) at
10 degrees Celsius, salinity 35 and 50 m.
"""

from sandbox.sea.ek60_datagrams import Transceiver

_TRANSCEIVERS = {
    18_000: Transceiver(18_000, "ES18-11", 2000, 22.9, -17.0, 10.9, 13.9, 0.0028),
    38_000: Transceiver(38_000, "ES38B", 2000, 26.5, -20.6, 7.1, 21.9, 0.0101),
    70_000: Transceiver(70_000, "ES70-7C", 750, 27.0, -21.0, 6.6, 23.0, 0.0235),
    120_000: Transceiver(120_000, "ES120-7C", 250, 27.0, -21.0, 6.7, 23.0, 0.0385),
    200_000: Transceiver(200_000, "ES200-7C", 120, 27.0, -20.7, 6.7, 23.0, 0.0540),
    333_000: Transceiver(333_000, "ES333-7C", 50, 25.0, -20.7, 7.0, 23.0, 0.0797),
}


def transceiver_for(frequency: int) -> Transceiver:
    """Return the transceiver for ``frequency`` in Hz; raise ValueError if there is none."""
    try:
        return _TRANSCEIVERS[frequency]
    except KeyError:
        known = ", ".join(f"{f:,}" for f in _TRANSCEIVERS)
        raise ValueError(f"no transducer for {frequency:,} Hz; available: {known}") from None
