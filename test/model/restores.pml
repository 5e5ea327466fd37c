/* Crashes, copies of a store put back, hellos and what they lead to: rows 1, 23 to 27. */

bit due[2];                   /* this site must reset */
unsigned epochNext : 2;
bit floorNext;
bit heardNext[2];
bit saved[2];                 /* a copy of the store was taken */
bit restored[2];
bit back[2];                  /* the store is an older one, and nothing was done about it yet */
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

inline cut() { session = 0; due[0] = 0; due[1] = 0; heardNext[0] = 0; heardNext[1] = 0; epochNext = 0; floorNext = 0 }

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

#if defined(KNOWN)
#define behind(s, p) back[s]
#elif defined(NO_R6)
#define behind(s, p) false
#else
#define behind(s, p) (saved[s] && mem[p].heard && !store[s].further)
#endif
#define mustReset (behind(0, 1) || behind(1, 0) || store[0].epoch != store[1].epoch)
#define maxEpoch (store[0].epoch > store[1].epoch -> store[0].epoch : store[1].epoch)
#if defined(NO_R5)
#define askWitness ((behind(0, 1) || behind(1, 0)) && store[0].epoch == store[1].epoch)
#elif defined(WITNESS)
#define askWitness (behind(0, 1) != behind(1, 0) && store[0].epoch == store[1].epoch)
#else
#define askWitness false
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

/* Row 1 and, where a store is behind, rows 24 to 27: both hellos are seen by both sites. */
inline hello() {
  note("hellos, a reset is due: %d\n", mustReset);
  if
  :: askWitness ->
     if
     :: behind(0, 1) -> witness(0, 1)
     :: else
     fi;
     if
     :: behind(1, 0) -> witness(1, 0)
     :: else
     fi;
     back[0] = 0; back[1] = 0;
     opened()
  :: !askWitness && mustReset ->
     session = 1; due[0] = 1; due[1] = 1;
     epochNext = maxEpoch + 1; floorNext = store[0].floor || store[1].floor;
     heardNext[0] = store[1].further; heardNext[1] = store[0].further
  :: !askWitness && !mustReset ->
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

/*
 * R4 without R5, and RESYNC once it is there: who was rolled back takes the other as witness instead of beginning anew.
 * Safe where it is known which store was put back (KNOWN), and not where the peer's memory alone tells: that never tells
 * of both.
 */
#define isLive(s) (is(s, s_ready) || is(s, s_active))
inline witness(s, p) {
  mem[p].book = 0; settle(p);
  store[s].floor = store[s].floor || store[p].floor;
  if
  :: isLive(s) && isLive(p) && store[s].bytes == store[p].bytes ->
     if
     :: store[p].grant > store[s].grant -> store[s].owner = store[p].owner; store[s].grant = store[p].grant
     :: else
     fi;
     if
     :: owner(s) ->
        store[s].state = s_active;
        store[s].lease = (store[p].horizon > store[s].lease -> store[p].horizon : store[s].lease)
     :: else ->
        store[s].state = s_ready;
        store[s].consumed = store[s].consumed | below(store[p].lease);
        store[s].horizon = (store[p].lease > store[s].horizon -> store[p].lease : store[s].horizon)
     fi
  :: is(s, s_received) && is(p, s_received)
  :: else ->
     if
     :: !is(s, s_none) -> become(s, s_none)
     :: else
     fi;
     if
     :: isLive(p) || (is(p, s_received) && store[s].floor) -> become(p, s_none)
     :: else
     fi
  fi;
  commit(s)
}
