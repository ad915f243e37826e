"""What a mesh authority does: issue identities, take them back, and give way to another authority.

Every change takes the trust list as it is and returns the next version of it. Pure; the operator's commands
(`gossipsa authority`) keep the files.
"""

from __future__ import annotations

import msgspec

from gossipsa.errors import CallerError
from gossipsa.identifiers import GatewayName
from gossipsa.wire.identity import SERIAL_BYTES, Identity, IdentityRequest, sign_identity
from gossipsa.wire.signing import SIGNATURE_BYTES, SigningKey
from gossipsa.wire.trust import RevokedName, TrustList, sign_succession, sign_trust_list


class AuthorityError(CallerError):
    """An authority was asked for what it cannot do. Nothing was signed."""


def first_trust_list(mesh: str, authority: SigningKey) -> TrustList:
    """The first list of a new mesh. Raises AuthorityError: a label that is none."""
    unsigned = (mesh, 1, (authority.public,), (), (), (), authority.public, bytes(SIGNATURE_BYTES))
    try:
        trust = msgspec.convert(unsigned, TrustList)
    except msgspec.ValidationError as error:
        raise AuthorityError(f"no label for a mesh: {error}") from None
    return sign_trust_list(trust, authority)


def issue(
    trust: TrustList,
    authority: SigningKey,
    request: IdentityRequest,
    *,
    name: str,
    site: str,
    zone: str,
    serial: bytes,
    not_before_s: int,
    not_after_s: int,
) -> Identity:
    """An identity for the keys of a request.

    Args:
        serial: SERIAL_BYTES fresh random bytes.

    Raises:
        AuthorityError: the list does not trust this authority, the name is revoked at that time, or the
            values make no identity.
        IdentityError: the texts are too long together.
    """
    _check_trusted(trust, authority)
    assert len(serial) == SERIAL_BYTES
    try:
        unsigned = msgspec.convert(
            (
                trust.mesh,
                name,
                serial,
                request.signing_key,
                request.exchange_key,
                site,
                zone,
                not_before_s,
                not_after_s,
                authority.public,
                bytes(SIGNATURE_BYTES),
            ),
            Identity,
        )
    except msgspec.ValidationError as error:
        raise AuthorityError(f"no identity: {error}") from None
    if trust.is_revoked(unsigned):
        raise AuthorityError(f"identities of {name} from before this moment are revoked: try in a second")
    return sign_identity(unsigned, authority)


def revoke(
    trust: TrustList,
    authority: SigningKey,
    *,
    serials: tuple[bytes, ...] = (),
    names: tuple[str, ...] = (),
    now_s: int,
) -> TrustList:
    """The next list, without these identities: by serial, or all that were issued for a name until now.

    Raises:
        AuthorityError: the list does not trust this authority, or has no room.
        TrustError: the list gets too long.
    """
    _check_trusted(trust, authority)
    revoked = {entry.name: entry.until_s for entry in trust.revoked_names}
    revoked.update((GatewayName(name), max(now_s, revoked.get(GatewayName(name), 0))) for name in names)
    return _next(
        trust,
        authority,
        revoked_serials=tuple(dict.fromkeys((*trust.revoked_serials, *serials))),
        revoked_names=tuple(RevokedName(name=name, until_s=until_s) for name, until_s in revoked.items()),
    )


def add_successor(trust: TrustList, authority: SigningKey, successor: bytes) -> TrustList:
    """The next list, which trusts a new authority too, in the name of the one that signs.

    Raises:
        AuthorityError: the list does not trust the one, or trusts the other already, or has no room.
    """
    _check_trusted(trust, authority)
    if successor in trust.authorities:
        raise AuthorityError("the trust list has this authority already")
    return _next(
        trust,
        authority,
        authorities=(*trust.authorities, successor),
        successions=(*trust.successions, sign_succession(trust.mesh, authority, successor)),
    )


def retire(trust: TrustList, authority: SigningKey, retired: bytes) -> TrustList:
    """The next list, which does not trust that authority any more: nor any identity that it signed.

    Raises:
        AuthorityError: the list does not trust both, or they are the same.
    """
    _check_trusted(trust, authority)
    if retired == authority.public:
        raise AuthorityError("an authority cannot retire itself: another one has to sign that")
    if retired not in trust.authorities:
        raise AuthorityError("the trust list has no such authority")
    return _next(
        trust, authority, authorities=tuple(other for other in trust.authorities if other != retired)
    )


def _check_trusted(trust: TrustList, authority: SigningKey) -> None:
    if authority.public not in trust.authorities:
        raise AuthorityError("the trust list does not trust this authority key")


def _next(trust: TrustList, authority: SigningKey, **changes: object) -> TrustList:
    try:
        changed = msgspec.structs.replace(trust, version=trust.version + 1, **changes)
        # Constraints hold for decoded values only.
        checked: TrustList = msgspec.convert(msgspec.to_builtins(changed, builtin_types=(bytes,)), TrustList)
    except (msgspec.ValidationError, ValueError) as error:
        raise AuthorityError(f"no trust list: {error}") from None
    return sign_trust_list(checked, authority)
