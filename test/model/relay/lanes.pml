/*
 * One block of link key at the two ends of a link (lib/qnl/relay/link-pool.ts) in Promela: reserved, encrypted with,
 * forwarded. The network delivers whatever was ever sent: once, often, late, after restarts, in any order or never, which is
 * weaker than the code's connections. A crash may come between any two steps; a store may be put back to an old copy.
 *
 * Parameters: CELLS of the block, CRASHES of each end, RESTORES (1: of end 0, 2: of end 1, 3: of both), CHECKS. NO_L…
 * leaves a rule out.
 */
#ifndef CELLS
#define CELLS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#ifndef CHECKS
#define CHECKS 15
#endif
#define TWICE 1   /* no cell is a pad twice */
#define FORWARD 2 /* no chunk goes on twice */
#define SEEN 8    /* the recorder of all pads sees each that serves twice (L8) */
#define SPOILT 4  /* an honest frame opens, whatever others have sent before it */
#define check(which, what) assert(!((CHECKS & which)) || (what))
#define bit(n) (1 << (n))
#define PEER (1 - _pid)
#define ME _pid
#define NONCES 4

mtype = { none, fresh, asked, sends, receives };
mtype mem[2] = fresh;
bool disk[2] = true;
bool restored[2];
byte crashes[2], asks[2], nonce[2], drawn[2], spent[2];
byte leases[2], answers[2]; /* by asker: every message that was ever sent */
byte used, frames, forwarded;
byte logs[2]; /* what each end has written down before it sent: no crash and no restore touches it */
#ifdef NO_L8
#define recorded(e) logs[e]
#else
#define recorded(e) (logs[0] | logs[1])
#endif

inline restart(e) {
  nonce[e] = 0; drawn[e] = 0; spent[e] = 0;
  if
  :: disk[e] -> mem[e] = fresh
  :: else -> mem[e] = none
  fi
}
inline giveUp(e) { /* L1: durable before anything is said or encrypted */
#ifndef NO_L1_DURABLE
  disk[e] = false
#else
  skip
#endif
}
inline ask(e) {
  giveUp(e);
  asks[e]++; nonce[e] = asks[e]; leases[e] = leases[e] | bit(asks[e]);
#ifdef NO_L1_ASK
  mem[e] = sends
#else
  mem[e] = asked
#endif
}
#ifdef NO_L1_LANES
#define free(e) (mem[e] == fresh || mem[e] == asked || mem[e] == sends)
#else
/* Of two that ask at once the end whose parity the block has keeps it: here end 0. */
#define free(e) (mem[e] == fresh || (mem[e] == asked && e == 1))
#endif
inline grant(e, p, n) {
  giveUp(e);
#ifdef NO_L1_LANES
  if
  :: mem[e] == fresh -> mem[e] = receives
  :: else
  fi;
#else
  mem[e] = receives; nonce[e] = 0;
#endif
  answers[p] = answers[p] | bit(n)
}
#ifdef NO_L1_NONCE
#define answered(e) (answers[e] != 0)
#else
#define answered(e) (nonce[e] && (answers[e] & bit(nonce[e])))
#endif
inline draw(e) {
  check(TWICE, !(used & bit(drawn[e])));
  check(SEEN, !(used & bit(drawn[e])) || (recorded(e) & bit(drawn[e])));
  logs[e] = logs[e] | bit(drawn[e]);
  used = used | bit(drawn[e]); frames = frames | bit(drawn[e]);
  drawn[e]++
}
inline redraw(e) { /* the same pad for a chunk that has changed on the way */
  check(TWICE, !(used & bit(drawn[e] - 1)));
  skip
}
inline receive(e, cell) {
  if
#ifdef NO_L4
  :: true ->
#else
  :: !(spent[e] & bit(cell)) ->
#endif
     check(FORWARD, !(forwarded & bit(cell)));
     forwarded = forwarded | bit(cell); spent[e] = spent[e] | bit(cell)
  :: else -> check(SPOILT, forwarded & bit(cell)); skip
  fi
}
inline forge(e, cell) { /* a frame with a wrong tag */
#ifdef NO_L3
  spent[e] = spent[e] | bit(cell)
#else
  skip
#endif
}

active [2] proctype end() {
  byte n;
  do
  :: d_step { mem[ME] == fresh && asks[ME] < NONCES - 1 -> ask(ME) }
  :: d_step { (leases[PEER] & bit(1)) && free(ME) -> grant(ME, PEER, 1) }
  :: d_step { (leases[PEER] & bit(2)) && free(ME) -> grant(ME, PEER, 2) }
  :: d_step { (leases[PEER] & bit(3)) && free(ME) -> grant(ME, PEER, 3) }
  :: d_step { mem[ME] == asked && answered(ME) -> mem[ME] = sends }
  :: d_step { mem[ME] == sends && drawn[ME] < CELLS -> draw(ME) }
#ifdef NO_L2
  :: d_step { mem[ME] == sends && drawn[ME] > 0 -> redraw(ME) }
#endif
  :: d_step { mem[ME] == receives && (frames & 1) -> receive(ME, 0) }
  :: d_step { mem[ME] == receives && (frames & 2) -> receive(ME, 1) }
  :: d_step { mem[ME] == receives -> forge(ME, 0) }
  /* The connection is lost: what is in the lanes is burned. */
  :: d_step { mem[ME] == asked || mem[ME] == sends || mem[ME] == receives -> mem[ME] = none; nonce[ME] = 0; spent[ME] = 0 }
  :: d_step { crashes[ME] < CRASHES -> crashes[ME]++; restart(ME) }
  :: d_step { (RESTORES & bit(ME)) && !restored[ME] -> restored[ME] = true; disk[ME] = true; restart(ME) }
  od
}
