"""One colour a gateway, the same on the screen and in the picture.

Okabe and Ito's colours, which readers with any colour vision can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from gossipsa.identifiers import Endpoint

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")


def colours_of(gateways: Sequence[Endpoint]) -> dict[Endpoint, str]:
    """A colour for each gateway, `#rrggbb`; they repeat after the eighth."""
    return {gateway: _COLOURS[index % len(_COLOURS)] for index, gateway in enumerate(gateways)}
