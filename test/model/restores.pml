/*
 * Crashes, copies of a store put back, hellos and what they lead to: rows 1, 23 to 27.
 * MARKS: each site knows by the commit numbers outside its store whether it was put back (R6), and can then be the other's
 * witness. Without, the peer's memory alone tells, and whoever was put back makes both begin anew.
 */

bit due[2];                   /* this site must reset */
unsigned epochNext : 2;
bit floorNext;
bit heardNext[2];
bit saved[2];                 /* a copy of the store was taken */
bit restored[2];
bit back[2];                  /* the store is an older one, and nothing was done about it yet: a flag on its disk */
/* What the witness says of its block while a RESYNC is under way (session 3); it ends with the session, by its nonce. */
typedef Said {
  bit told;
  mtype:state state = s_none;
  bit owner;
  unsigned grant : 2;
  unsigned lease : 2;
  unsigned horizon : 2;
  unsigned bytes : 2;
  bit floor;
}
Said said[2];
#define m_resync 1
#define m_state 2
#define hand(s, what) said[s].told = 1
#if CHECKS & NOTICED
bit told[2];                  /* the peer heard of commits beyond the copy, and a sweep went by since */
#define learned(p) told[p]
#define learn(p, what) told[p] = what
#else
#define learned(p) store[1 - p].heard
#define learn(p, what) skip
#endif

#ifdef NO_R4_QUIET
#define awake(s) true
#else
#define awake(s) mem[s].met
#endif

inline unsay(s) {
  said[s].told = 0; said[s].state = s_none; said[s].owner = 0; said[s].grant = 0; said[s].lease = 0;
  said[s].horizon = 0; said[s].bytes = 0; said[s].floor = 0
}
inline cut() { unsay(0); unsay(1); session = 0; due[0] = 0; due[1] = 0; heardNext[0] = 0; heardNext[1] = 0; epochNext = 0; floorNext = 0 }

/* Row 23: a process begins. What stood in memory is burned (R3). */
inline start(s) {
  note("starts %d\n", s);
  mem[s].met = 0; mem[s].heard = store[s].heard; mem[s].owed = 0; settle(s);
#ifdef NO_R3
  mem[s].book = store[s].book;
#else
  mem[s].book = 0;
#endif
#ifdef VIRTUAL
  seedHeld = (s == 0 -> 0 : seedHeld);
#endif
  cut()
}

inline assign(to, from) {
  to.state = from.state; to.owner = from.owner; to.grant = from.grant; to.lease = from.lease; to.horizon = from.horizon;
  to.consumed = from.consumed; to.bytes = from.bytes; to.floor = from.floor; to.epoch = from.epoch;
  to.further = from.further; to.heard = from.heard;
#ifdef VIRTUAL
  to.seed = from.seed;
#endif
#ifdef NO_R3
  to.book = from.book
#endif
}
/* Whatever anybody has heard of this site so far is not beyond the copy. */
inline backup(s, p) {
  note("copies its store %d\n", s);
  saved[s] = 1; learn(s, 0); store[s].further = 0;
  mem[p].heard = 0; store[p].heard = 0; copy[p].heard = 0;
  assign(copy[s], store[s])
}
inline restore(s) {
  note("is put back to the copy %d\n", s);
  restored[s] = 1; back[s] = 1; lost = 1; live[0] = 0; live[1] = 0;
  assign(store[s], copy[s]);
  copy[s].state = s_none; copy[s].owner = 0; copy[s].grant = 0; copy[s].lease = 0; copy[s].horizon = 0;
#ifdef VIRTUAL
  copy[s].seed = 0;
#endif
  copy[s].consumed = 0; copy[s].bytes = 0; copy[s].floor = 0; copy[s].epoch = 0; copy[s].heard = 0;
#ifdef NO_R3
  copy[s].book = 0;
#endif
  start(s)
}

/* R6: every message tells how far its sender's store has got. What is heard goes along with the next commit. */
inline hear(s, p) {
  note("hears how far the other is %d\n", p);
  mem[s].heard = 1
}
/* And is kept by the next sweep, in a write that does not count as a commit. */
inline remember(s, p) {
  note("has heard it a while ago %d\n", p);
  learn(p, 1);
#ifndef NO_R6_DURABLE
  store[s].heard = 1
#endif
}

#if defined(MARKS)
#define behind(s, p) back[s]
#elif defined(NO_R6)
#define behind(s, p) false
#else
#define behind(s, p) (saved[s] && mem[p].heard && !store[s].further)
#endif
#define mustReset (behind(0, 1) || behind(1, 0) || store[0].epoch != store[1].epoch)
#define maxEpoch (store[0].epoch > store[1].epoch -> store[0].epoch : store[1].epoch)
#define sameEpoch (store[0].epoch == store[1].epoch)
#if defined(NO_R5)
#define mayResync ((behind(0, 1) || behind(1, 0)) && sameEpoch)
#elif defined(MARKS) || defined(NO_R5_VOUCHED)
#define mayResync (behind(0, 1) != behind(1, 0) && sameEpoch)
#else
#define mayResync false
#endif
/*
 * What two sites cannot see is left out unless UNNOTICED says otherwise: a store put back of which the peer never heard
 * more, or both stores put back to copies that agree with each other. A path ends there.
 */
#define unheard(s, p) (back[s] && (!learned(s) || restored[p]))
#if defined(UNNOTICED) || defined(NO_R6)
#define seen true
#elif (CHECKS & NOTICED)
#define seen (mustReset || !(unheard(0, 1) || unheard(1, 0)))
#else
#define seen (mustReset || !(back[0] || back[1]))
#endif

/*
 * Elsewhere what was sent in an earlier session may still arrive, which is more than can happen. Here it may not: who was put
 * back has said things in the time that it forgot.
 */
inline endOldSessions() {
#ifdef NO_R11_SESSIONS
  skip
#else
  mail[0] = 0; mail[1] = 0; mem[0].replies = 0; mem[1].replies = 0
#endif
}

/* Row 1 and, where a store is behind, rows 24 to 27: both hellos are seen by both sites. */
inline hello() {
  note("hellos, a reset is due: %d\n", mustReset);
  if
  :: mayResync ->
     /* Row 24: who was put back, by its own knowledge or by what the other remembers, notes it and asks. */
     session = 3; back[0] = behind(0, 1); back[1] = behind(1, 0);
     endOldSessions()
  :: !mayResync && mustReset ->
     session = 1; due[0] = 1; due[1] = 1;
     epochNext = maxEpoch + 1; floorNext = store[0].floor || store[1].floor;
     heardNext[0] = store[1].further; heardNext[1] = store[0].further
  :: !mayResync && !mustReset ->
     check(NOTICED, !(back[0] && !unheard(0, 1)) && !(back[1] && !unheard(1, 0)));
     back[0] = 0; back[1] = 0;
     mem[0].heard = mem[0].heard || store[1].further; mem[1].heard = mem[1].heard || store[0].further;
     opened()
  fi
}
inline opened() { cut(); session = 2; resume(0); resume(1) }

/* Each site resets on its own, and may crash before: then the epochs differ, and both do it again. */
inline reset(s, p) {
#ifdef VIRTUAL
  /* Its number belongs to the epoch before, and the seed's block is gone. */
  store[s].floor = 1; store[s].seed = 1; seedHeld = (s == 0 -> 0 : seedHeld);
#endif
  store[s].floor = store[s].floor || floorNext; store[s].epoch = epochNext; mem[s].heard = heardNext[s];
  if
  :: is(s, s_received) -> move(s, 27, either, s_received, s_none) /* reset */
  :: is(s, s_ready) -> move(s, 27, either, s_ready, s_none) /* reset */
  :: is(s, s_active) -> move(s, 27, either, s_active, s_none) /* reset */
  :: else -> become(s, s_none)
  fi;
  back[s] = 0; due[s] = 0;
  if
  :: !due[p] -> opened()
  :: else
  fi
}

/* What an owner finished with is burned beyond the horizon: it counts as leased, or its keys would be refused. */
#ifdef NO_R4_TOUCHED
#define touched(s) store[s].horizon
#else
#define beyond(s, cell) (store[s].consumed >> (cell))
#define spentTo(s) (beyond(s, 2) -> 3 : (beyond(s, 1) -> 2 : (store[s].consumed -> 1 : 0)))
#define touched(s) (spentTo(s) > store[s].horizon -> spentTo(s) : store[s].horizon)
#endif

/* Row 25: the witness burns what it has under lease, and says what it holds. */
inline tellState(s) {
#ifndef NO_R4_BURN
  mem[s].book = 0; keepBook(s); settle(s);
#endif
  said[s].state = store[s].state; said[s].owner = store[s].owner; said[s].grant = store[s].grant;
  said[s].lease = store[s].lease; said[s].horizon = touched(s); said[s].bytes = store[s].bytes;
  said[s].floor = store[s].floor;
  if
  :: is(s, s_active) && owner(s) && store[s].lease > 0 ->
     move(s, 25, owner, s_active, s_active); hand(s, m_state) /* the peer forgot */
  :: else -> hand(s, m_state)
  fi
}

/* Row 26, at the site that was put back (s), by what the other has said (p). */
#define isVerified(what) ((what) == s_ready || (what) == s_active)
#define isAlive(what) ((what) == s_received || isVerified(what))
#define goesOn(s, p) (isVerified(store[s].state) && isVerified(said[p].state) && store[s].bytes == said[p].bytes)
#ifdef NO_R4_OWNER
#define newerThere(s, p) false
#else
#define newerThere(s, p) (said[p].grant > store[s].grant)
#endif
#define ownAfter(s, p) ((newerThere(s, p) -> said[p].owner : store[s].owner) == s)
inline takeOwner(s, p) {
  if
  :: newerThere(s, p) -> store[s].owner = said[p].owner; store[s].grant = said[p].grant
  :: else
  fi
}
inline takeLease(s, p) {
  takeOwner(s, p);
  store[s].lease = (said[p].horizon > store[s].lease -> said[p].horizon : store[s].lease)
}
inline burnLeased(s, p) {
  takeOwner(s, p);
#ifndef NO_R4_BITS
  store[s].consumed = store[s].consumed | below(said[p].lease);
#endif
#ifndef NO_R4_HORIZON
  store[s].horizon = (said[p].lease > store[s].horizon -> said[p].lease : store[s].horizon)
#endif
}
inline merge(s, p) {
  if
  :: goesOn(s, p) && ownAfter(s, p) ->
     takeLease(s, p);
     if
     :: is(s, s_ready) -> move(s, 26, either, s_ready, s_active) /* forgot, it is our own */
     :: is(s, s_active) -> move(s, 26, either, s_active, s_active) /* forgot, it is our own */
     fi
  :: goesOn(s, p) && !ownAfter(s, p) ->
     burnLeased(s, p);
     if
     :: is(s, s_ready) -> move(s, 26, either, s_ready, s_ready) /* forgot, the peer owns it */
     :: is(s, s_active) -> move(s, 26, either, s_active, s_ready) /* forgot, the peer owns it */
     fi
  :: is(s, s_none) && isAlive(said[p].state) && !store[s].floor ->
     store[s].owner = said[p].owner; store[s].grant = said[p].grant;
     move(s, 26, either, s_none, s_dropped); send(s, m_drop(store[s].grant)) /* forgot, not verified at both */
  :: is(s, s_received) ->
     move(s, 26, either, s_received, s_dropped); send(s, m_drop(store[s].grant)) /* forgot, not verified at both */
  :: is(s, s_ready) && !goesOn(s, p) ->
     move(s, 26, either, s_ready, s_dropped); send(s, m_drop(store[s].grant)) /* forgot, not verified at both */
  :: is(s, s_active) && !goesOn(s, p) ->
     move(s, 26, either, s_active, s_dropped); send(s, m_drop(store[s].grant)) /* forgot, not verified at both */
  :: else
  fi;
  mem[s].book = 0; settle(s);
  store[s].floor = store[s].floor || said[p].floor;
  commit(s);
  back[s] = 0; unsay(p);
  if
  :: !back[p] ->
     /* What was issued from the forgotten leases may be refused; whatever comes from here on may not. */
     live[p] = live[p] & servableKeys(s, p);
     live[s] = (isVerified(store[s].state) -> live[s] & servableKeys(p, s) : 0);
     lost = 0;
     opened()
  :: else
  fi
}
