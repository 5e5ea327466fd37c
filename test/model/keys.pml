/*
 * Leases, issuing and fetching: rows 9 to 19.
 * left out: row 15 (it prolongs a lease, and there is no time here)
 */

#define mayAsk(s) (open && is(s, s_active) && owner(s) && store[s].lease < CELLS && !mem[s].asks)
inline ask(s, end) {
  mem[s].asks = 1; mem[s].from = store[s].lease; mem[s].to = end;
  store[s].lease = end;
  move(s, 9, owner, s_active, s_active); send(s, m_lease(store[s].grant, mem[s].from, end)); /* few cells left under lease */
#ifdef NO_R1
  mem[s].book = mem[s].book | (below(end) & ~below(mem[s].from));
#endif
  skip
}

#define leasable(s, p, no, start) \
  (is(s, s_ready) && store[s].owner == p && store[s].grant == (no) && (start) >= store[s].horizon)
#ifdef NO_R2
byte acks[2];
#define oldAck(s, p, from, to) (open && is(s, s_active) && has(acks[p], range(from, to)) && store[s].lease >= (to))
#define acknowledged(s, from, to) acks[s] = acks[s] | (1 << range(from, to))
#else
#define acknowledged(s, from, to) skip
#endif
/* The request that is out. */
inline onLease(s, p) {
  if
  :: leasable(s, p, store[p].grant, mem[p].from) ->
     store[s].horizon = mem[p].to;
     acknowledged(s, mem[p].from, mem[p].to);
     move(s, 10, retriever, s_ready, s_ready); reply(p, m_leaseOk) /* lease */
  :: else ->
     if
     :: is(s, s_none) || is(s, s_dropped) -> reply(p, m_leaseNo(ABSENT))
     :: else -> reply(p, m_leaseNo(store[s].horizon))
     fi
  fi
}
/* One that was given up or asked by a process that is gone: nobody waits for the answer. */
inline onOldLease(s, start, end) {
  store[s].horizon = end;
  acknowledged(s, start, end);
  move(s, 10, retriever, s_ready, s_ready); /* lease */
  skip
}
inline onLeaseOk(s) {
  if
  :: is(s, s_active) -> mem[s].book = mem[s].book | (below(mem[s].to) & ~below(mem[s].from)); keepBook(s)
  :: else
  fi;
  settle(s)
}
inline onAbsent(s) {
  settle(s);
  if
  :: is(s, s_active) && owner(s) ->
     move(s, 29, owner, s_active, s_dropped); /* drop, or lease refused as absent */
     send(s, m_drop(store[s].grant))
  :: else
  fi
}
inline onLeaseNo(s, end) {
  settle(s);
  if
  :: is(s, s_active) && end > store[s].lease -> store[s].lease = end; commit(s)
  :: else
  fi
}

/* Row 14. */
inline issue(s, p, cell) {
  note("issues cell %d\n", cell);
  check(TWICE, ((issued[s] | got[s]) & key(s, 1 << cell)) == 0);
  check(BOTH_ENDS, (issued[p] & key(s, 1 << cell)) == 0);
  issued[s] = issued[s] | key(s, 1 << cell);
  live[s] = live[s] | key(s, 1 << cell);
  mem[s].book = mem[s].book & ~(1 << cell);
  keepBook(s)
}
#define usedUp(s) (is(s, s_active) && owner(s) && store[s].lease == CELLS && mem[s].book == 0 && !mem[s].asks)
inline finish(s) {
  send(s, m_finished(store[s].grant)); move(s, 19, owner, s_active, s_drained) /* all cells given or burned */
}

#define servable(s, p, cell) \
  (is(s, s_ready) && store[s].owner == p && cell < store[s].horizon && !has(store[s].consumed, cell))
#define servableKeys(s, p) \
  (is(s, s_ready) && store[s].owner == p -> key(s, below(store[s].horizon) & ~store[s].consumed) : 0)
#ifdef NO_R4
#define mayServe(s) true
#else
#define mayServe(s) mem[s].met
#endif
#define fetchable(s, p, cell) \
  (mayServe(s) && !mem[s].owed && servable(s, p, cell) && (issued[p] & ofAnyBytes(1 << cell)))
#define deliver(s, what) check(TWICE, ((issued[s] | got[s]) & (what)) == 0); got[s] = got[s] | (what)
#define owing(s) (1 << (mem[s].owed - 1))

/* Consumed first, durably, and answered in a step of its own: a crash may come between. */
inline fetch(s, p, cell) {
  note("fetches cell %d\n", cell);
  check(SAME, (issued[p] & ofAnyBytes(1 << cell)) == key(s, 1 << cell));
  live[p] = live[p] & ~key(s, 1 << cell);
  mem[s].owed = (store[s].bytes - 1) * CELLS + cell + 1;
#ifdef ANSWER_FIRST
  deliver(s, owing(s))
#else
  store[s].consumed = store[s].consumed | (1 << cell);
  move(s, 16, retriever, s_ready, s_ready) /* retrieve */
#endif
}
inline answer(s) {
#ifdef ANSWER_FIRST
  if
  :: is(s, s_ready) && (key(s, ALL) & owing(s)) ->
     store[s].consumed = store[s].consumed | (owing(s) >> ((store[s].bytes - 1) * CELLS)); commit(s)
  :: else
  fi;
#else
  deliver(s, owing(s));
#endif
  mem[s].owed = 0
}

/* R17: no sooner than the owner's own deadline for the cell has passed. */
#define pending(p, cell) (mem[p].asks && mem[p].from <= cell && cell < mem[p].to)
#define expirable(s, p, cell) (awake(s) && servable(s, p, cell) && !has(mem[p].book, cell) && !pending(p, cell))
inline expire(s, p, cell) {
  live[p] = live[p] & ~key(s, 1 << cell);
  store[s].consumed = store[s].consumed | (1 << cell);
  move(s, 17, retriever, s_ready, s_ready) /* cells expire */
}
inline drain(s) {
  move(s, 18, retriever, s_ready, s_drained) /* all cells consumed */
}
