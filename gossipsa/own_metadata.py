"""What this gateway tells all others of itself: its capacity, whether it drains, and how much it holds."""

from __future__ import annotations

from gossipsa.mesh_message import PROTOCOL_VERSION, GatewayMetadata
from gossipsa.settings import GatewaySettings
from gossipsa.wire.codec import encode

_RECORDS_UNTOLD_MAX = 64


class OwnMetadata:
    """Knows what was told last: every change goes to the whole mesh."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._is_draining = False
        self._records_told = 0

    @property
    def is_draining(self) -> bool:
        """True while this gateway is being emptied: it takes nothing."""
        return self._is_draining

    def encoded(self) -> bytes:
        """As it travels in our membership entry."""
        return encode(
            GatewayMetadata(
                protocol_version=PROTOCOL_VERSION,
                capacity=self._settings.capacity,
                ike_addresses=self._settings.ike_addresses,
                draining=self._is_draining,
                records=self._records_told,
            )
        )

    def drain(self, *, draining: bool) -> bool:
        """True if that is news."""
        is_news = draining != self._is_draining
        self._is_draining = draining
        return is_news

    def count(self, records: int) -> bool:
        """True if so many records are worth telling: an eighth more or less than was told."""
        is_news = abs(records - self._records_told) > _RECORDS_UNTOLD_MAX + self._records_told // 8
        if is_news:
            self._records_told = records
        return is_news
