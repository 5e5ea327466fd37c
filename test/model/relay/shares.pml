/*
 * Two shares of one key and the relays that see them (lib/qnl/relay/relay-sets.ts) in Promela: plans come and go, shares
 * are sent again over the path of the moment, the source may crash. A plan's two paths never meet, and that is not enough.
 * The direct link between the ends is a path of its own, without a relay.
 *
 * NO_R13 goes by the plan alone; NO_L6 sends a share over the path of the other one where its own is lost; NO_L7_LINK counts
 * the direct link as nobody's, NO_L7_CLASS calls a key direct that was on it.
 */
#ifndef RELAYS
#define RELAYS 3
#endif
#ifndef PLANS
#define PLANS 3
#endif
#ifndef CHECKS
#define CHECKS 7
#endif
#define APART 1 /* no relay sees both shares */
#define LINK 2  /* nor does who reads along at one link */
#define CLASS 4 /* what is called direct was at no relay */
#define check(which, what) assert(!((CHECKS & which)) || (what))
#define bit(n) (1 << (n))
#define DIRECT RELAYS

byte path[2], plans, sent[2], noted[2];
byte direct; /* shares that were ever sent over the direct link, as bits */

#ifdef NO_R13
#define apart(share, way) true
#else
#define apart(share, way) (!(noted[1 - share] & bit(way)))
#endif
#ifdef NO_L7_LINK
#define alone(share, way) true
#else
/* One share at most, and never one that was elsewhere before: the other may have been sent over it meanwhile. */
#define alone(share, way) (way != DIRECT || (!(direct & bit(1 - share)) && (!noted[share] || (direct & bit(share)))))
#endif
#define admitted(share, way) (apart(share, way) && alone(share, way))
inline send(share, way) {
  if
  :: way == DIRECT ->
     direct = direct | bit(share);
     check(LINK, direct != 3)
  :: else ->
     noted[share] = noted[share] | bit(way); /* before it is sent */
     sent[share] = sent[share] | bit(way);
     check(APART, !(sent[0] & sent[1]))
  fi
}
#ifdef NO_L7_CLASS
#define isDirect (direct != 0)
#else
#define isDirect (direct != 0 && !sent[0] && !sent[1])
#endif
inline plan(first, second) { path[0] = first; path[1] = second; plans++ }
inline anew() { sent[0] = 0; sent[1] = 0; noted[0] = 0; noted[1] = 0; direct = 0 }

active proctype source() {
  path[1] = 1;
  do
  :: d_step { admitted(0, path[0]) -> send(0, path[0]) }
  :: d_step { admitted(1, path[1]) -> send(1, path[1]) }
#ifdef NO_L6
  :: d_step { sent[1] -> send(0, path[1]) }
#endif
  :: d_step { plans < PLANS -> plan(0, 1) }
  :: d_step { plans < PLANS -> plan(1, 0) }
  :: d_step { plans < PLANS -> plan(0, 2) }
  :: d_step { plans < PLANS -> plan(2, 1) }
  :: d_step { plans < PLANS -> plan(1, 2) }
  :: d_step { plans < PLANS -> plan(DIRECT, 1) }
  :: d_step { plans < PLANS -> plan(0, DIRECT) }
  :: d_step { isDirect -> check(CLASS, !sent[0] && !sent[1]) }
  /* Given up, or a crash: the shares of the next block are drawn anew. */
  :: d_step { anew() }
  od
}
