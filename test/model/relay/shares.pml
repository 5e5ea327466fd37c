/*
 * Two shares of one key and the relays that see them (lib/qnl/relay/relay-sets.ts) in Promela: plans come and go, shares
 * are sent again over the path of the moment, the source may crash. A plan's two paths never meet, and that is not enough.
 *
 * NO_R13 goes by the plan alone; NO_L6 sends a share over the path of the other one where its own is lost.
 */
#ifndef RELAYS
#define RELAYS 3
#endif
#ifndef PLANS
#define PLANS 3
#endif
#define APART 1 /* no relay sees both shares */
#ifndef CHECKS
#define CHECKS 1
#endif
#define check(which, what) assert(!((CHECKS & which)) || (what))
#define bit(n) (1 << (n))

byte path[2], plans, sent[2], noted[2];

#ifdef NO_R13
#define admitted(share, relay) true
#else
#define admitted(share, relay) (!(noted[1 - share] & bit(relay)))
#endif
inline send(share, relay) {
  noted[share] = noted[share] | bit(relay); /* before it is sent */
  sent[share] = sent[share] | bit(relay);
  check(APART, !(sent[0] & sent[1]))
}
inline plan(first, second) { path[0] = first; path[1] = second; plans++ }

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
  /* Given up, or a crash: the shares of the next block are drawn anew. */
  :: d_step { sent[0] = 0; sent[1] = 0; noted[0] = 0; noted[1] = 0 }
  od
}
