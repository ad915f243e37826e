from __future__ import annotations

import dataclasses
import json
import random
import re
import time
import tomllib
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.demo.mesh_authority import MeshAuthority
from gossipsa.config import load_configuration
from gossipsa.config_table import key_of_field, parse_endpoint, settings_fields
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.kernel.xfrm.kernel import XfrmSettings
from gossipsa.settings import ReplicationSettings, TakeoverSettings
from gossipsa.strongswan.settings import CharonSettings
from gossipsa.swim.settings import LAN, WAN

EXAMPLE = Path(__file__).parent.parent / "examples" / "gossipsa.toml"
SMALLEST = """
[gateway]
listen = "10.0.2.2:7946"
"""

FILES = """
private_key_file = "key"
identity_file = "identity"
state_directory = "state"
[mesh]
trust_file = "trust"
"""


def _write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gossipsa.toml"
    file.write_text(text)
    return file


def test_smallest_configuration_has_defaults_for_the_rest(tmp_path: Path) -> None:
    configuration = load_configuration(_write(tmp_path, SMALLEST))

    assert configuration.listen == Endpoint(IPv4Address("10.0.2.2"), 7946)
    assert configuration.gateway.mesh_endpoint == configuration.listen
    assert configuration.gateway.ike_addresses == (IPv4Address("10.0.2.2"),)
    assert configuration.gateway.ike_port == 4500
    assert configuration.ike_probe_port == 500
    assert configuration.gateway.swim == LAN
    assert configuration.xfrm == XfrmSettings()
    assert configuration.charon == CharonSettings()
    assert configuration.gateway.seeds == ()


def test_example_describes_every_setting(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    # Every key that is commented out, switched on.
    complete = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", text)
    configuration = load_configuration(_write(tmp_path, complete))
    tables = tomllib.loads(complete)

    def keys(of: object, *, without: tuple[str, ...] = ()) -> set[str]:
        return {key_of_field(name) for name in settings_fields(of) if name not in without}

    # A profile has too many parts, all of them for the rare case, to show each with its value.
    assert {key for key in keys(LAN) if not re.search(rf"\b{key}\b", text)} == set()
    assert set(tables["replication"]) == keys(ReplicationSettings())
    assert set(tables["takeover"]) == keys(TakeoverSettings())
    assert set(tables["ike"]) == keys(CharonSettings()) | {"daemon", "addresses", "port", "probe_port"}
    own = {"backend", "counters_interval_ms"}
    assert set(tables["kernel"]) == keys(XfrmSettings(), without=("ike_port", "ike_nat_port")) | own
    assert configuration.gateway.swim == LAN
    assert configuration.gateway.replication == ReplicationSettings()
    assert configuration.gateway.takeover == TakeoverSettings()
    assert configuration.xfrm == XfrmSettings()
    assert configuration.charon == dataclasses.replace(CharonSettings(), segment_count=16, ha_version=3)


def test_example_shows_the_defaults(tmp_path: Path) -> None:
    as_shipped = load_configuration(EXAMPLE)
    text = re.sub(r"(?m)^#(?=[a-z_]+ = )(?!advertise|events_file|ha_version)", "", EXAMPLE.read_text())
    written_out = load_configuration(_write(tmp_path, text))

    assert dataclasses.replace(written_out, file=as_shipped.file) == as_shipped


def test_short_forms_stand_for_tables(tmp_path: Path) -> None:
    configuration = load_configuration(_write(tmp_path, 'kernel = "memory"\nike = "none"\n' + SMALLEST))

    assert configuration.xfrm is None
    assert configuration.charon is None
    # The in-memory kernel's clients, and probes, meet at one port.
    assert configuration.ike_probe_port == configuration.gateway.ike_port


def test_settings_of_a_profile_can_be_overridden(tmp_path: Path) -> None:
    text = SMALLEST + '[swim]\nprofile = "wan"\nprobe_interval_ms = 1500.5\nrelays = 4\n'
    configuration = load_configuration(_write(tmp_path, text))

    expected = dataclasses.replace(WAN, probe_interval_ns=1_500_500_000, relays=4)
    assert configuration.gateway.swim == expected


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    text = SMALLEST + 'private_key_file = "a.key"\n[admin]\nsocket = "a.sock"\n[log]\nevents_file = "/x/e"\n'
    configuration = load_configuration(_write(tmp_path, text))

    assert configuration.private_key_file == tmp_path / "a.key"
    assert configuration.admin_socket == tmp_path / "a.sock"
    assert configuration.log.events_file == Path("/x/e")


def test_gateway_behind_a_wildcard_says_where_it_is_reached(tmp_path: Path) -> None:
    text = SMALLEST.replace("10.0.2.2", "0.0.0.0") + 'advertise = "198.51.100.10:7946"\n'
    configuration = load_configuration(_write(tmp_path, text))

    assert configuration.gateway.mesh_endpoint == Endpoint(IPv4Address("198.51.100.10"), 7946)
    assert configuration.gateway.ike_addresses == (IPv4Address("198.51.100.10"),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "gateway.listen: is missing"),
        ("[gateway]\n", "gateway.listen: is missing"),
        (SMALLEST + "colour = 1", "gateway.colour: is no setting that gossipsa knows"),
        (SMALLEST + "[colour]", "colour: is no setting that gossipsa knows"),
        (SMALLEST + "[swim]\nprobe_interval_ns = 5", "swim.probe_interval_ns: is no setting"),
        (SMALLEST + "[swim]\nrelays = 1.5", "swim.relays: must be a number, not a fraction"),
        (SMALLEST + "[swim]\nrelays = true", "swim.relays: must be a number, not true or false"),
        (
            SMALLEST + '[swim]\nprobe_interval_ms = "1 s"',
            "swim.probe_interval_ms: must be a number, not a text",
        ),
        (
            SMALLEST + '[swim]\nprofile = "lunar"',
            'swim.profile: is "lunar", but must be one of lan, wan, local',
        ),
        (SMALLEST + "[swim]\nsuspicion_min_ms = 1", "swim: swim: suspicion_min_ns must leave two gossip"),
        (SMALLEST + "[swim]\nrelay_attempts = 3", "swim.relay_attempts: must be a list, not a number"),
        (SMALLEST + '[swim]\nrelay_attempts = ["3"]', "swim.relay_attempts[0]: must be a number"),
        (SMALLEST + "[takeover]\nike_veto_ms = 110", "takeover: ike_veto_ns must outlast two"),
        (SMALLEST + "[takeover]\nrekey_after_takeover = 1", "rekey_after_takeover: must be true or false"),
        (SMALLEST + "[replication]\nreplicas = 0", "replication: replicas is 0, but must be 1 to 4"),
        (SMALLEST + "capacity = -1", "gateway.capacity: is -1, but must be 0 to 1000000"),
        (SMALLEST.replace("10.0.2.2:7946", "10.0.2.2"), 'gateway.listen: "10.0.2.2" is not address:port'),
        (SMALLEST.replace("10.0.2.2", "example.org"), "does not begin with an IP address"),
        (SMALLEST.replace("10.0.2.2", "0.0.0.0"), "gateway.advertise: 0.0.0.0:7946 is nowhere"),
        (SMALLEST + "[kernel]\nrouting_protocol = 300", "kernel: routing_protocol must be 1 to 255"),
        (SMALLEST + "[kernel]\ncounters_interval_ms = 1", "kernel.counters_interval_ms: is 1, but must be"),
        ('kernel = "memory"\n' + SMALLEST, 'kernel.backend: the in-memory kernel needs ike = "none"'),
        ('kernel = "windows"\n' + SMALLEST, 'kernel: is "windows", but must be one of xfrm, memory'),
        ('ike = "libreswan"\n' + SMALLEST, 'ike: is "libreswan", but must be one of strongswan, none'),
        ("ike = 5\n" + SMALLEST, "ike: must be a table, not a number"),
        (SMALLEST + 'name = "a"', "gateway.name: is no setting that gossipsa knows"),
        (SMALLEST + "[[peers]]", "peers: is no setting that gossipsa knows"),
        (SMALLEST + "[mesh]\nseeds = 5", "mesh.seeds: must be a list, not a number"),
        (SMALLEST + "[mesh]\nseeds = [5]", "mesh.seeds[0]: must be a text, not a number"),
        (SMALLEST + '[mesh]\nseeds = ["b:1"]', 'mesh.seeds[0]: "b:1" does not begin with an IP address'),
        (SMALLEST + '[mesh]\nseeds = ["0.0.0.0:1"]', "mesh.seeds[0]: 0.0.0.0:1 is nowhere"),
        (SMALLEST + f"[mesh]\nseeds = {1_025 * ['10.0.3.2:1']}", "mesh.seeds: are 1025, but may be 1024"),
        (SMALLEST + "[mesh]\nlabel = 5", "mesh.label: is no setting that gossipsa knows"),
        (SMALLEST + '[ike]\ndaemon = "none"\nvici_path = "/x"', "ike.vici_path: is no setting"),
        (SMALLEST + '[ike]\naddresses = ["::"]', "ike.addresses: must be addresses that clients can send to"),
        (SMALLEST + '[ike]\naddresses = ["10.0.0.1", "10.0.0.2"]', "ike_addresses needs one address of each"),
        (SMALLEST + '[ike]\naddresses = ["ten"]', "ike.addresses: 'ten' does not appear to be"),
        (SMALLEST + "[ike]\naddresses = [5.5]", "ike.addresses: '5.5' does not appear to be"),
        (SMALLEST + "[ike]\naddresses = [5]", "ike.addresses: '5' does not appear to be"),
        (SMALLEST + "[ike]\nsegment_count = 17", "ike: segment_count is 17"),
        (SMALLEST + '[log]\nlevel = "loud"', 'log.level: is "loud"'),
        (SMALLEST + "[swim]\nprobe_interval_ms = inf", "swim.probe_interval_ms: is inf, and must be finite"),
        (SMALLEST + "[swim]\nprobe_interval_ms = nan", "swim.probe_interval_ms: is nan, and must be finite"),
        (SMALLEST + '[log]\nevents_file = "\\u0000"', "log.events_file: is no path"),
        ("name = ", "Invalid value"),
        ("name = " + "[" * 5_000, "is nested too deeply"),
        ("name = " + "9" * 5_000, "Exceeds the limit"),
    ],
)
def test_every_complaint_names_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    file = _write(tmp_path, text)
    with pytest.raises(ConfigurationError) as raised:
        load_configuration(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert complaint in str(raised.value)


def test_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_configuration(tmp_path / "nowhere.toml")


_VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 70_000), st.floats(-1e6, 1e6), st.sampled_from(["", "a"])),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["gateway", "ike", "kernel", "swim", "replication", "takeover", "admin", "log"]),
    st.sampled_from(
        ["name", "listen", "addresses", "daemon", "backend", "profile", "relay_attempts", "level"]
    ),
    _VALUES,
)
def test_wrong_values_raise_nothing_but_configuration_errors(
    tmp_path: Path, table: str, key: str, value: object
) -> None:
    # Of these types, JSON's way of writing is TOML's.
    file = _write(tmp_path, f"[{table}]\n{key} = {json.dumps(value)}\n")
    with pytest.raises(ConfigurationError, match=re.escape(str(file))):
        load_configuration(file)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1:1", Endpoint(IPv4Address("192.0.2.1"), 1)),
        ("[2001:db8::1]:65535", Endpoint(IPv6Address("2001:db8::1"), 65535)),
    ],
)
def test_endpoint_is_read_as_it_is_printed(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text", ["", ":", "1", "2001:db8::1:7946", "[192.0.2.1]:5", "192.0.2.1:65536", "a:²"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='"' + re.escape(text) + '"'):
        parse_endpoint(text)


def test_keyring_is_made_of_the_files_that_the_configuration_names(tmp_path: Path) -> None:
    authority = MeshAuthority("m", random.Random(1).randbytes)
    authority.write_trust(tmp_path / "trust")
    authority.enrol("a", site="s", zone="z", key_file=tmp_path / "key", identity_file=tmp_path / "identity")
    text = SMALLEST + FILES
    keyring = load_configuration(_write(tmp_path, text)).keyring(unix_s=int(time.time()))

    assert (keyring.name, keyring.mesh, keyring.own.site, keyring.own.zone) == ("a", "m", "s", "z")


def test_identity_for_another_key_is_refused(tmp_path: Path) -> None:
    authority = MeshAuthority("m", random.Random(1).randbytes)
    authority.write_trust(tmp_path / "trust")
    authority.enrol("a", site="", zone="", key_file=tmp_path / "key", identity_file=tmp_path / "other")
    authority.enrol("b", site="", zone="", key_file=tmp_path / "b", identity_file=tmp_path / "identity")
    with pytest.raises(ConfigurationError, match="identity: the identity of b was issued for another"):
        load_configuration(_write(tmp_path, SMALLEST + FILES)).keyring(unix_s=int(time.time()))
