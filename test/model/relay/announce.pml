/*
 * Relays that announce (lib/qnl/relay/joint.ts, rule L5) in Promela: a path of two links, two blocks. The source sets a cell
 * of link 1 aside for a block, the relay one of link 2, and says how the two differ. Messages may come often, late and in
 * any order, and anybody may make announcements up. Ends and relay may crash at any time: what is in the lanes is burned.
 *
 * SPLIT: the two blocks are shares of one key. NO_L5_… leaves a part of the rule out.
 */
#ifndef CELLS
#define CELLS 3
#endif
#ifndef SPLIT
#define SPLIT 0
#endif
#ifndef CHECKS
#define CHECKS 15
#endif
#define ONCE 1  /* no cell is in two announcements, or in one and a pad as well */
#define RIGHT 2 /* the destination opens nothing but what the relay has said */
#define SHRED 4 /* who breaks into a relay finds no cell of an announcement that was made before */
#define APART 8 /* two shares of a key are not announced over one link */
#define check(which, what) assert(!((CHECKS & which)) || (what))
#define bit(n) (1 << (n))
#define NONE 9

byte next[2];               /* cells of each link that were drawn, in order */
byte aside[2] = NONE;       /* by block: the cell of link 1; the message that names it stays on the wire */
byte heard;                 /* blocks whose reservation the relay has taken, as bits: the range is spent then */
byte spoken;                /* blocks that were announced */
byte used[2];               /* by link: cells in announcements or under pads */
byte held;                  /* cells of link 1 that the relay still has though they were announced */
bool forged[2], lanes = true;

inline use(link, cell) {
  check(ONCE, !(used[link] & bit(cell)));
  used[link] = used[link] | bit(cell)
}
#ifdef NO_L5_SPLIT
#define mayAnnounce true
#else
#define mayAnnounce !SPLIT
#endif
inline reserve(block) {
  aside[block] = next[0];
#ifndef NO_L5_PAD
  next[0]++
#endif
}
#ifdef NO_L5_ONCE
#define isNew(block) true
#else
#define isNew(block) !(heard & bit(block))
#endif
inline announce(block) {
  heard = heard | bit(block);
  use(0, aside[block]);
  use(1, next[1]);
  next[1]++;
  spoken = spoken | bit(block);
  check(APART, !(SPLIT && spoken == 3));
#ifdef NO_L5_SHRED
  held = held | bit(aside[block])
#endif
}
#ifdef NO_L5_MAC
#define believed(block) (forged[block] || (spoken & bit(block)))
#else
#define believed(block) (spoken & bit(block))
#endif

active proctype network() {
  byte b;
  do
  :: d_step { b = 0 }
  :: d_step { b = 1 }
  /* The source. */
  :: d_step { lanes && mayAnnounce && aside[b] == NONE && next[0] < CELLS -> reserve(b) }
  :: d_step { lanes && next[0] < CELLS -> use(0, next[0]); next[0]++ }
  /* The relay. */
  :: d_step { lanes && aside[b] != NONE && next[1] < CELLS && isNew(b) -> announce(b) }
  :: d_step { lanes && next[1] < CELLS -> use(1, next[1]); next[1]++ }
#ifdef NO_L5_BOTH
  /* Set aside at the source's end alone: the relay takes the cell for a pad, or its own pool, as well. */
  :: d_step { lanes && aside[b] != NONE && !(heard & bit(b)) -> use(0, aside[b]) }
#endif
  /* The destination. */
  :: d_step { lanes && believed(b) -> check(RIGHT, (spoken & bit(b))) }
  /* Anybody. */
  :: d_step { !forged[b] -> forged[b] = true }
  :: d_step { check(SHRED, !held) }
  /* A crash of any of them, or a lost connection. */
  :: d_step { lanes -> lanes = false; held = 0 }
  od
}
