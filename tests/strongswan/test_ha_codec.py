"""HA datagrams: real ones byte for byte, every wire version by round trip, garbage by fuzzing."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import Endpoint, Secret
from gossipsa.ipsec.security_association import Identity, IkeSpis
from gossipsa.ipsec.traffic_selector import TrafficSelector
from gossipsa.strongswan.ha_attributes import (
    ENCODINGS,
    NUMBERS,
    Attribute,
    Encoding,
    MessageType,
    wire_version_of_release,
)
from gossipsa.strongswan.ha_codec import (
    ByteOrder,
    HaDecodeError,
    HaEncodeError,
    HaMessage,
    HaTrafficSelector,
    HaValue,
    IkeId,
    decode,
    encode,
)
from tests.strongswan.capture import CaptureLine, capture_lines

SPIS = IkeSpis(initiator=b"initiato", responder=b"responde")

addresses = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address)


@st.composite
def traffic_selectors(draw: st.DrawFn) -> HaTrafficSelector:
    bits = draw(st.sampled_from((32, 128)))
    kind = IPv4Address if bits == 32 else IPv6Address
    start, end = sorted((draw(st.integers(0, 2**bits - 1)), draw(st.integers(0, 2**bits - 1))))
    from_port, to_port = sorted((draw(st.integers(0, 0xFFFF)), draw(st.integers(0, 0xFFFF))))
    selector = TrafficSelector(
        protocol=draw(st.integers(0, 255)),
        from_port=from_port,
        to_port=to_port,
        start=kind(start),
        end=kind(end),
    )
    return HaTrafficSelector(selector=selector, dynamic=draw(st.booleans()))


VALUES: dict[Encoding, st.SearchStrategy[HaValue]] = {
    Encoding.IKE_ID: st.builds(
        IkeId,
        version=st.integers(1, 2),
        spis=st.builds(IkeSpis, st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8)),
        we_initiated=st.booleans(),
    ),
    Encoding.IDENTITY: st.builds(Identity, st.integers(0, 255), st.binary(max_size=255)),
    Encoding.HOST: st.builds(Endpoint, addresses, st.integers(0, 0xFFFF)),
    Encoding.STRING: st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30),
    Encoding.U8: st.integers(0, 0xFF),
    Encoding.U16: st.integers(0, 0xFFFF),
    Encoding.U32: st.integers(0, 0xFFFFFFFF),
    Encoding.SPI: st.integers(0, 0xFFFFFFFF),
    Encoding.CPI: st.integers(0, 0xFFFF),
    Encoding.CHUNK: st.builds(Secret, st.binary(max_size=80)),
    Encoding.TRAFFIC_SELECTOR: traffic_selectors(),
}


@st.composite
def messages(draw: st.DrawFn, version: int) -> HaMessage:
    names = draw(st.lists(st.sampled_from(list(NUMBERS[version])), max_size=12))
    attributes = tuple((name, draw(VALUES[ENCODINGS[name]])) for name in names)
    return HaMessage(draw(st.sampled_from(MessageType)), attributes)


versions_and_messages = st.sampled_from(list(NUMBERS)).flatmap(
    lambda version: st.tuples(st.just(version), messages(version))
)
byteorders = st.sampled_from(("little", "big"))


@pytest.mark.parametrize("line", capture_lines(), ids=lambda line: line.name)
def test_every_real_message_reencodes_to_the_same_bytes(line: CaptureLine) -> None:
    message = decode(line.data, byteorder="little")
    assert encode(message, version=3, byteorder="little") == line.data


def test_a_real_child_add_is_read_with_the_spis_that_the_kernel_has() -> None:
    line = next(line for line in capture_lines() if line.data[1] == MessageType.CHILD_ADD)
    assert decode(line.data, byteorder="little") == HaMessage(
        MessageType.CHILD_ADD,
        (
            (
                Attribute.IKE_ID,
                IkeId(
                    version=2,
                    spis=IkeSpis(
                        initiator=bytes.fromhex("adcb04c28e47e29e"),
                        responder=bytes.fromhex("2f8053f03a7b7c64"),
                    ),
                    we_initiated=False,
                ),
            ),
            (Attribute.INITIATOR, 0),
            (Attribute.INBOUND_SPI, 0xC7909FEA),
            (Attribute.OUTBOUND_SPI, 0xC108912B),
            (Attribute.INBOUND_CPI, 0),
            (Attribute.OUTBOUND_CPI, 0),
            (Attribute.IPSEC_MODE, 2),
            (Attribute.IPCOMP, 0),
            (Attribute.CONFIG_NAME, "net"),
            (Attribute.ALG_ENCR, 20),
            (Attribute.ALG_ENCR_LEN, 128),
            (Attribute.ESN, 1),
            (
                Attribute.NONCE_I,
                Secret(bytes.fromhex("68206f5133bde565e966ffa59256917faa18b53e3342501423f8a60e0f7e4de9")),
            ),
            (
                Attribute.NONCE_R,
                Secret(bytes.fromhex("8d9c1c6875d8852fba854e8bd23602c5e8ea63f58f0414daf9b10ed2a78fc04b")),
            ),
            (Attribute.LOCAL_TS, _ipv4_selector("192.168.7.0", "192.168.7.255")),
            (Attribute.REMOTE_TS, _ipv4_selector("10.99.1.1", "10.99.1.1")),
        ),
    )


def _ipv4_selector(start: str, end: str) -> HaTrafficSelector:
    return HaTrafficSelector(
        selector=TrafficSelector(
            protocol=0, from_port=0, to_port=65535, start=IPv4Address(start), end=IPv4Address(end)
        )
    )


@given(versions_and_messages, byteorders)
def test_every_version_decodes_what_it_encodes(drawn: tuple[int, HaMessage], byteorder: ByteOrder) -> None:
    version, message = drawn
    data = encode(message, version=version, byteorder=byteorder)
    assert data[0] == version
    assert decode(data, byteorder=byteorder) == message


@given(st.binary(max_size=200))
def test_garbage_raises_only_the_documented_error(data: bytes) -> None:
    try:
        decode(data)
    except HaDecodeError:
        return
    assert encode(decode(data), version=data[0]) == data


@given(versions_and_messages, st.data())
def test_damaged_messages_raise_only_the_documented_error(
    drawn: tuple[int, HaMessage], data: st.DataObject
) -> None:
    version, message = drawn
    damaged = bytearray(encode(message, version=version))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HaDecodeError):
        decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize(
    ("attribute", "numbers"),
    [
        (Attribute.SECRET, (17, 17, 17)),
        (Attribute.OLD_SKD, (18, 19, 19)),
        (Attribute.ALG_DH, (24, 25, 25)),
        (Attribute.IPSEC_MODE, (25, 27, 27)),
        (Attribute.INBOUND_SPI, (27, 29, 29)),
        (Attribute.REMOTE_TS, (32, 34, 34)),
        (Attribute.MID, (33, 35, 35)),
        (Attribute.IKE_VERSION, (36, 38, 38)),
        (Attribute.AUTH_METHOD, (41, 43, 43)),
    ],
)
def test_attributes_are_numbered_as_each_release_numbers_them(
    attribute: Attribute, numbers: tuple[int, int, int]
) -> None:
    assert tuple(NUMBERS[version][attribute] for version in (3, 4, 5)) == numbers


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_spis_are_swapped_on_little_endian_machines_only(byteorder: ByteOrder) -> None:
    message = HaMessage(MessageType.CHILD_DELETE, ((Attribute.INBOUND_SPI, 0xC1000000),))
    wire = {"little": "000000c1", "big": "c1000000"}[byteorder]
    assert encode(message, version=3, byteorder=byteorder).hex() == "03071b" + wire


def test_a_version_not_spoken_is_refused_with_those_that_are() -> None:
    with pytest.raises(HaDecodeError, match="version 6; versions 3, 4, 5 are spoken"):
        decode(bytes((6, 1)))


def test_an_unknown_attribute_is_named() -> None:
    with pytest.raises(HaDecodeError, match="unknown HA attribute 42 in version 3"):
        decode(bytes((3, 1, 42)))


def test_an_attribute_of_a_later_version_is_refused() -> None:
    message = HaMessage(MessageType.IKE_ADD, ((Attribute.ADD_SECRET, Secret(b"s")),))
    with pytest.raises(HaEncodeError, match="version 3 has no attribute ADD_SECRET"):
        encode(message, version=3)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (Attribute.MID, 1 << 32),
        (Attribute.MID, -1),
        (Attribute.MID, "text"),
        (Attribute.CONFIG_NAME, "a\0b"),
        (Attribute.CONFIG_NAME, "\ud800"),
        (Attribute.LOCAL_ID, Identity(type=2, data=bytes(256))),
        (Attribute.SECRET, Secret(bytes(0x10000))),
        (Attribute.LOCAL_ADDR, Endpoint(address=IPv4Address("10.0.0.1"), port=0x10000)),
        (
            Attribute.IKE_ID,
            IkeId(version=2, spis=IkeSpis(initiator=b"short", responder=b""), we_initiated=True),
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(attribute: Attribute, value: HaValue) -> None:
    with pytest.raises(HaEncodeError):
        encode(HaMessage(MessageType.IKE_UPDATE, ((attribute, value),)), version=3)


def test_secrets_do_not_show_in_a_message() -> None:
    message = HaMessage(MessageType.IKE_ADD, ((Attribute.SECRET, Secret(b"very secret")),))
    assert "very secret" not in repr(message)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("5.3.5", None),
        ("5.4.0", 3),
        ("5.9.8", 3),
        ("6.0.0", 3),
        ("6.0.1", 4),
        ("6.0.2dr1", 5),
        ("6.0.2", 5),
        ("6.1.0", 5),
        ("unknown", None),
        ("", None),
    ],
)
def test_the_wire_version_follows_from_the_release(release: str, version: int | None) -> None:
    assert wire_version_of_release(release) == version
