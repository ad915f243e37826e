from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import GatewayName
from gossipsa.swim.flap_damping import REFUTATION_PENALTY, RETURN_PENALTY, FlapDamping
from gossipsa.swim.settings import LAN, SECOND_NS
from tests.swim.claims import OTHERS, THEM

HALF_LIFE_NS = LAN.flap_half_life_ns
flaps = st.lists(
    st.tuples(
        st.sampled_from(OTHERS[:3]),
        st.sampled_from([RETURN_PENALTY, REFUTATION_PENALTY]),
        st.integers(0, 3 * HALF_LIFE_NS),
    ),
    max_size=60,
)


@given(flaps)
def test_penalties_are_bounded_and_everybody_is_released_in_bounded_time(
    flaps: list[tuple[GatewayName, int, int]],
) -> None:
    damping = FlapDamping(LAN)
    now_ns = 0
    suppressed: set[GatewayName] = set()
    ceiling = LAN.flap_reuse_penalty * 2 ** (LAN.flap_suppress_max_ns / HALF_LIFE_NS)
    for name, penalty, later_ns in flaps:
        now_ns += later_ns
        suppressed -= set(damping.release(now_ns=now_ns))
        before = damping.penalty(name, now_ns=now_ns)
        if damping.penalise(name, penalty, now_ns=now_ns):
            assert name not in suppressed
            suppressed.add(name)
        after = damping.penalty(name, now_ns=now_ns)
        assert before <= after <= min(before + penalty, ceiling) * (1 + 1e-9)
        assert suppressed == {other for other in OTHERS if damping.suppressed(other)}
        assert all(damping.penalty(other, now_ns=now_ns) >= LAN.flap_reuse_penalty for other in suppressed)
    assert set(damping.release(now_ns=now_ns + LAN.flap_suppress_max_ns + 1)) == suppressed
    damping.release(now_ns=now_ns + LAN.flap_suppress_max_ns + 2 * HALF_LIFE_NS)
    assert len(damping) == 0


def test_half_of_a_penalty_decays_in_the_half_life() -> None:
    damping = FlapDamping(LAN)
    damping.penalise(THEM, RETURN_PENALTY, now_ns=0)
    assert damping.penalty(THEM, now_ns=HALF_LIFE_NS) == RETURN_PENALTY / 2


def test_a_few_flaps_in_short_time_suppress_and_the_same_over_long_time_do_not() -> None:
    hasty, slow = FlapDamping(LAN), FlapDamping(LAN)
    assert [hasty.penalise(THEM, RETURN_PENALTY, now_ns=n * SECOND_NS) for n in range(4)] == [
        False,
        False,
        True,
        False,
    ]
    assert not any(slow.penalise(THEM, RETURN_PENALTY, now_ns=n * HALF_LIFE_NS) for n in range(100))


def test_who_is_suppressed_stays_so_between_the_thresholds() -> None:
    damping = FlapDamping(LAN)
    for _ in range(3):
        damping.penalise(THEM, RETURN_PENALTY, now_ns=0)
    assert damping.release(now_ns=HALF_LIFE_NS) == ()
    assert damping.penalty(THEM, now_ns=HALF_LIFE_NS) < LAN.flap_suppress_penalty
    assert damping.suppressed(THEM)
    assert damping.release(now_ns=3 * HALF_LIFE_NS) == (THEM,)
    assert not damping.suppressed(THEM)


def test_histories_are_bounded_and_the_calmest_is_forgotten() -> None:
    damping = FlapDamping(replace(LAN, members_max=2))
    damping.penalise(OTHERS[0], RETURN_PENALTY, now_ns=0)
    damping.penalise(OTHERS[1], REFUTATION_PENALTY, now_ns=0)
    damping.penalise(OTHERS[2], RETURN_PENALTY, now_ns=0)
    assert len(damping) == 2
    assert damping.penalty(OTHERS[1], now_ns=0) == 0
