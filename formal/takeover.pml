/* Sequence numbers and takeover, as a model for Spin (https://spinroot.com).
 *
 * One client, one key, three gateways, and a network that loses, repeats and delays. Gateways are suspected at any
 * time, rightly or not; daemons die alone (the kernel goes on sending) or with their host, and come back without
 * memory. Nobody asks anybody before a takeover here: claims only make conflicts rare, so that what holds without
 * them holds with them.
 *
 *   P1  No number of the key is ever sent twice, by whomever.
 *   P2  No gateway sends before the client connected to it or answered it.
 *   P3  No epoch has two owners.
 *
 * The numbers: 0 is the creator's own region; block b of the shared region is number b + 1 and belongs to lane
 * b mod LANES. What gossipsa/ipsec/lanes.py and gossipsa/replication do with 64 lanes of 2^20 numbers is done here
 * with LANES lanes of one number, in two rounds.
 *
 * Each rule can be left out (-DWITHOUT_...): then Spin has to find what goes wrong (`python -m formal` runs them all).
 */

#define GATEWAYS 3
#ifndef LANES
#define LANES 3
#endif
#ifndef BLOCKS
#define BLOCKS 4
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#define NOBODY 3

#define LANE(number) (1 << (((number) - 1) % LANES))

#define IN_USE(g, lane) (kernel[g].installed && kernel[g].limit > 0 && lane == LANE(kernel[g].limit))

/* What a kernel has: it outlives the daemon, and obeys its limit whatever happens. */
typedef Kernel {
    bit installed;
    bit blocked;
    byte next;   /* number of the next packet */
    byte limit   /* highest number that may be sent */
};

/* What a daemon remembers: gone when it dies. */
typedef Daemon {
    byte boot;
    byte held;      /* lanes */
    byte seen;      /* lanes that this boot was ever granted */
    bit has;        /* a copy of the record */
    bit owns;
    bit taking;     /* installed, and the client is being told */
    byte counter;   /* of the epoch known; its owner's boot is what tells equal counters apart */
    byte holder;    /* owner of that epoch */
    byte ceiling    /* highest number that may have been sent, as far as known */
};

/* What an owner granted to each other gateway: repeated with every copy, always the same. */
typedef Grants {
    byte lanes[GATEWAYS];
    byte boot[GATEWAYS]
};

/* A copy of the record under way. */
typedef Copy {
    bit there;
    byte to;
    byte boot;
    byte lanes;
    byte counter;
    byte holder;
    byte ceiling
};

Kernel kernel[GATEWAYS];
Daemon daemon[GATEWAYS];
Grants granted[GATEWAYS];
Copy copy[SLOTS];
bit sent[BLOCKS + 1];
bit answered[GATEWAYS];
byte owner_of[EPOCHS * GATEWAYS + GATEWAYS];   /* by counter, who made that epoch: for P3 */
byte crashes;

inline forget(g) {
    daemon[g].held = 0;
    daemon[g].seen = 0;
    daemon[g].has = 0;
    daemon[g].owns = 0;
    daemon[g].taking = 0;
    daemon[g].counter = 0;
    daemon[g].holder = NOBODY;
    daemon[g].ceiling = 0;
    granted[g].lanes[0] = 0; granted[g].lanes[1] = 0; granted[g].lanes[2] = 0;
    granted[g].boot[0] = 0; granted[g].boot[1] = 0; granted[g].boot[2] = 0
}

inline remove(g) {
    kernel[g].installed = 0;
    kernel[g].blocked = 0;
    kernel[g].next = 0;
    kernel[g].limit = 0
}

/* Ownership ends: SAs first, then lanes are burnt (rules R2, R5). */
inline yield(g) {
    remove(g);
    daemon[g].owns = 0;
    daemon[g].taking = 0;
    daemon[g].ceiling = 0;
#ifndef WITHOUT_BURNING
    daemon[g].held = 0;
#endif
    granted[g].lanes[0] = 0; granted[g].lanes[1] = 0; granted[g].lanes[2] = 0
}

/* The lowest number above `above` in lanes held; 0 if there is none. */
inline first_number(g, above, found) {
    found = above + 1;
    if
    :: found == 0 -> found = 1
    :: else
    fi;
    do
    :: found > BLOCKS -> found = 0; break
    :: found <= BLOCKS && (daemon[g].held & LANE(found)) -> break
    :: else -> found++
    od
}

/* Rule R2: lanes leave our own set before they are sent, go to one boot, and are repeated but never changed. */
inline grant(g, r, given) {
    given = granted[g].lanes[r];
    if
    :: given != 0 && granted[g].boot[r] == daemon[r].boot -> skip
    :: else ->
        given = 1 << (LANES - 1);
        do
        :: given == 0 -> break
        :: given != 0 && (daemon[g].held & given) && !IN_USE(g, given) -> break
        :: else -> given = given >> 1
        od;
#ifndef WITHOUT_REMOVAL
        daemon[g].held = daemon[g].held & ~given;
#endif
        granted[g].lanes[r] = given;
        granted[g].boot[r] = daemon[r].boot
    fi
}

inline send_copy(g, r) {
    s = 0;
    do
    :: s < SLOTS && copy[s].there -> s++
    :: else -> break
    od;
    if
    :: s < SLOTS ->
        grant(g, r, n);
        copy[s].there = 1;
        copy[s].to = r;
        copy[s].boot = daemon[r].boot;
        copy[s].lanes = n;
        copy[s].counter = daemon[g].counter;
        copy[s].holder = g;
        copy[s].ceiling = daemon[g].ceiling
    :: else   /* the network is full: lost */
    fi
}

inline drop_copy(s) {
    copy[s].there = 0; copy[s].to = 0; copy[s].boot = 0; copy[s].lanes = 0;
    copy[s].counter = 0; copy[s].holder = 0; copy[s].ceiling = 0
}

#define NEWER(s, g) (copy[s].counter > daemon[g].counter \
    || (copy[s].counter == daemon[g].counter && copy[s].holder >= daemon[g].holder) || daemon[g].holder == NOBODY)

inline receive_copy(s, g) {
    if
#ifndef WITHOUT_BOOTS
    :: copy[s].boot != daemon[g].boot -> skip
    :: copy[s].boot == daemon[g].boot && !NEWER(s, g) -> skip
    :: copy[s].boot == daemon[g].boot && NEWER(s, g) ->
#else
    :: !NEWER(s, g) -> skip
    :: NEWER(s, g) ->
#endif
        if
        :: daemon[g].owns || daemon[g].taking -> yield(g)
        :: else
        fi;
        daemon[g].has = 1;
        daemon[g].counter = copy[s].counter;
        daemon[g].holder = copy[s].holder;
#ifndef WITHOUT_ONCE
        n = copy[s].lanes & ~daemon[g].seen;
#else
        n = copy[s].lanes;
#endif
        daemon[g].held = daemon[g].held | n;
        daemon[g].seen = daemon[g].seen | n;
        if
        :: copy[s].ceiling > daemon[g].ceiling -> daemon[g].ceiling = copy[s].ceiling
        :: else
        fi
    fi
}

inline claim_epoch(g) {
    n = daemon[g].counter * GATEWAYS + daemon[g].holder;
    assert(owner_of[n] == 0 || owner_of[n] == g + 1);   /* P3 */
    owner_of[n] = g + 1
}

/* A replica takes over, whether the owner is dead or not: installed and fenced, outbound blocked. */
inline take_over(g) {
    first_number(g, daemon[g].ceiling, n);
    if
    :: n != 0 ->
        daemon[g].taking = 1;
        daemon[g].counter++;
#ifdef WITHOUT_EPOCH_OWNER
        daemon[g].holder = 0;
#else
        daemon[g].holder = g;
#endif
        daemon[g].ceiling = n;
        kernel[g].installed = 1;
#ifndef WITHOUT_BLOCK
        kernel[g].blocked = 1;
#endif
        kernel[g].next = n;
#ifndef WITHOUT_FENCE
        kernel[g].limit = n;
#else
        kernel[g].limit = BLOCKS;
#endif
        claim_epoch(g)
    :: else
    fi
}

/* The owner's numbers run out: the next lane of its own, announced with the next copy (rule R3). */
inline move_on(g) {
    first_number(g, daemon[g].ceiling, n);
    if
    :: n != 0 ->
        daemon[g].ceiling = n;
        kernel[g].next = n;
        kernel[g].limit = n
    :: else
    fi
}

inline transmit(g) {
    assert(answered[g]);                        /* P2 */
    assert(!sent[kernel[g].next]);              /* P1 */
    sent[kernel[g].next] = 1;
    kernel[g].next++
}

/* Everything that can happen to gateway G, whose others are R and Q: each one step, so that no state between
 * is stored. */
#define GATEWAY(G, R, Q) \
    /* The kernel sends as long as its limit lets it. */ \
    :: d_step { kernel[G].installed && !kernel[G].blocked && kernel[G].next <= kernel[G].limit -> transmit(G) } \
    :: d_step { daemon[G].owns -> send_copy(G, R); clear() } \
    :: d_step { daemon[G].owns -> send_copy(G, Q); clear() } \
    :: d_step { daemon[G].owns && kernel[G].installed && kernel[G].next > kernel[G].limit -> \
        move_on(G); clear() } \
    :: d_step { daemon[G].has && !daemon[G].owns && !daemon[G].taking && daemon[G].counter < EPOCHS -> \
        take_over(G); clear() } \
    /* The client answers the redirect, and the taker hears it. */ \
    :: d_step { daemon[G].taking -> \
        daemon[G].taking = 0; daemon[G].owns = 1; kernel[G].blocked = 0; answered[G] = 1 } \
    /* No answer: what was installed is removed; its lane was not used, and stays. */ \
    :: d_step { daemon[G].taking -> daemon[G].taking = 0; remove(G) } \
    /* An owner that hears its client asserts itself above an epoch that it heard of. */ \
    :: d_step { daemon[G].owns && HIGHER(G, R) -> assert_ownership(G, R); clear() } \
    :: d_step { daemon[G].owns && HIGHER(G, Q) -> assert_ownership(G, Q); clear() } \
    /* The daemon dies alone and starts again (rule R0): what is open in the kernel is fenced, and stays. */ \
    :: d_step { crashes < CRASHES -> \
        crashes++; \
        if :: kernel[G].blocked -> remove(G) :: else fi; \
        forget(G); daemon[G].boot++ } \
    /* The host dies, and comes back empty. */ \
    :: d_step { crashes < CRASHES && kernel[G].installed && !kernel[G].blocked -> \
        crashes++; remove(G); forget(G); daemon[G].boot++ }

/* The network delivers, repeats or loses what is in slot S. */
#define NETWORK(S) \
    :: d_step { copy[S].there -> g = copy[S].to; receive_copy(S, g); drop_copy(S); g = 0; clear() } \
    :: d_step { copy[S].there -> g = copy[S].to; receive_copy(S, g); g = 0; clear() } \
    :: d_step { copy[S].there -> drop_copy(S) }

#define HIGHER(g, r) (daemon[r].counter > daemon[g].counter && daemon[r].counter < EPOCHS)

inline assert_ownership(g, r) {
    daemon[g].counter = daemon[r].counter + 1;
    daemon[g].holder = g;
    claim_epoch(g)
}

inline clear() {
    n = 0;
    s = 0
}

active proctype world() {
    byte g, s, n;

    d_step {
        g = 0;
        do
        :: g < GATEWAYS -> forget(g); g++
        :: else -> break
        od;
        /* The client connects to gateway 0, which holds all lanes of the new key (rule R1). */
        daemon[0].has = 1;
        daemon[0].owns = 1;
        daemon[0].held = (1 << LANES) - 1;
        daemon[0].seen = (1 << LANES) - 1;
        daemon[0].holder = 0;
        kernel[0].installed = 1;
        kernel[0].next = 0;
#ifndef WITHOUT_CREATOR_FENCE
        kernel[0].limit = 0;
#else
        kernel[0].limit = BLOCKS;
#endif
        answered[0] = 1;
        g = 0; n = 0
    }

end_quiet:
    do
    GATEWAY(0, 1, 2)
    GATEWAY(1, 2, 0)
    GATEWAY(2, 0, 1)
    NETWORK(0)
#if SLOTS > 1
    NETWORK(1)
#endif
    od
}
