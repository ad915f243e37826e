"""Keys of the SAs that a record describes."""

from __future__ import annotations

from gossipsa.ikev2.keymat import ChildKeys, IkeKeys, derive_child_keys, derive_ike_keys
from gossipsa.ipsec.security_association import ChildSa, IkeSa


def ike_keys_of(ike_sa: IkeSa) -> IkeKeys:
    """The keys of an IKE_SA, from its nonces and secrets.

    Raises:
        CallerError: a transform or a length that cannot be.
    """
    return derive_ike_keys(
        prf=ike_sa.prf,
        encryption=ike_sa.encryption,
        encryption_key_bits=ike_sa.encryption_key_bits,
        integrity=ike_sa.integrity,
        nonce_i=ike_sa.nonce_i,
        nonce_r=ike_sa.nonce_r,
        shared_secret=ike_sa.shared_secret,
        spi_i=ike_sa.spis.initiator,
        spi_r=ike_sa.spis.responder,
        old_sk_d=ike_sa.old_sk_d,
        old_prf=ike_sa.old_prf,
    )


def child_keys_of(ike_sa: IkeSa, child: ChildSa) -> ChildKeys:
    """The keys of a CHILD_SA.

    Args:
        ike_sa: the IKE_SA under which it was negotiated.

    Raises:
        CallerError: a transform or a length that cannot be.
    """
    return derive_child_keys(
        sk_d=ike_keys_of(ike_sa).sk_d,
        prf=ike_sa.prf,
        encryption=child.encryption,
        encryption_key_bits=child.encryption_key_bits,
        integrity=child.integrity,
        nonce_i=child.nonce_i,
        nonce_r=child.nonce_r,
        shared_secret=child.shared_secret,
    )
