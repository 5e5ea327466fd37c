/* How a block comes, is verified, changes its owner and goes: rows 2 to 8, 20 to 22, 28 and 29. */

inline offer(s, content) {
  offers[s]++;
  if
#ifdef NO_R12
  :: is(s, s_none) ->
#else
  :: is(s, s_none) && !store[s].floor ->
#endif
     store[s].bytes = content; store[s].owner = 0; store[s].floor = 1;
     if
     :: open && s == 0 -> move(s, 2, either, s_none, s_received); send(s, m_tag(content)) /* block from the QNL */
     :: open && s == 1 -> move(s, 2, either, s_none, s_received); /* block from the QNL */
        send(s, m_status(0))
     :: !open -> move(s, 2, either, s_none, s_received) /* block from the QNL */
     fi
  :: else ->
     store[s].floor = 1;
     if
     :: is(s, s_dropped) -> forget(s)
     :: else -> commit(s)
     fi
  fi
}

#ifdef VIRTUAL
/*
 * Row 30: a block that both sites make, of a seed cell (VIRTUAL=2) or of their secret alone (VIRTUAL=1); its bytes are those of
 * its number. The seed is a cell under acknowledged lease of a block that is not modelled, and could be issued as a key.
 */
#ifdef NO_R12_OPEN
#define unopened(s) is(s, s_none)
#else
#define unopened(s) (is(s, s_none) && !store[s].floor)
#endif
#define seedFits(s) (VIRTUAL == 1 || !store[s].seed)
inline issueSeed() {
  note("issues its seed as a key %d\n", 0);
  check(TWICE, !seedGrown);
  seedIssued = 1; seedHeld = 0
}
inline fetchSeed(s) {
  note("fetches the seed as a key %d\n", s);
  check(TWICE, !seedTaken);
  seedGot = 1; store[s].seed = 1; commit(s)
}
inline openBlock(s) {
  offers[s]++;
#if VIRTUAL == 2
  check(TWICE, !seedIssued && !seedGrown);
  seedGrown = 1;
#ifndef NO_R14_SEED
  seedHeld = 0;
#endif
#endif
  store[s].bytes = 1; store[s].owner = 0; store[s].floor = 1;
  move(s, 30, either, s_none, s_received); send(s, m_open); /* virtual block opened */
  send(s, m_tag(1))
}
inline onOpen(s) {
  if
  :: unopened(s) && seedFits(s) ->
     check(LIVE, VIRTUAL == 1 || !seedIssued || seedGot || lost);
     check(TWICE, VIRTUAL == 1 || !seedGot);
     seedTaken = (VIRTUAL == 2);
#ifndef NO_R14_BIT
     store[s].seed = 1;
#endif
     store[s].bytes = 1; store[s].owner = 0; store[s].floor = 1;
     move(s, 30, either, s_none, s_received) /* virtual block opened */
  :: is(s, s_none) && !(unopened(s) && seedFits(s)) -> send(s, m_drop(0))
  :: else
  fi
}
#endif

#ifdef UNCOMPARED
#define equal(s, content) true
#else
#define equal(s, content) (store[s].bytes == content)
#endif
inline onTag(s, content) {
  if
#ifdef VIRTUAL
  :: is(s, s_none) -> send(s, m_drop(0))
#else
  :: is(s, s_none) && store[s].floor -> send(s, m_drop(0))
#endif
  :: retriever(s) && is(s, s_dropped) -> send(s, m_drop(store[s].grant))
  :: retriever(s) && is(s, s_ready) && equal(s, content) -> send(s, m_ready(content))
  :: retriever(s) && is(s, s_received) && equal(s, content) ->
     move(s, 3, retriever, s_received, s_ready); send(s, m_ready(content)) /* tag, equal */
  :: retriever(s) && is(s, s_received) && !equal(s, content) ->
     move(s, 5, either, s_received, s_dropped); send(s, m_drop(store[s].grant)) /* tag or ready, different */
  :: else
  fi
}

inline onReady(s, content) {
  if
  :: owner(s) && is(s, s_received) && equal(s, content) ->
     move(s, 6, owner, s_received, s_active) /* ready, equal */
  :: owner(s) && is(s, s_received) && !equal(s, content) ->
     move(s, 5, either, s_received, s_dropped); send(s, m_drop(store[s].grant)) /* tag or ready, different */
  :: else
  fi
}

inline timeOut(s) {
  move(s, 7, either, s_received, s_dropped); send(s, m_drop(store[s].grant)) /* verify time-out */
}

inline onDrop(s, p, no) {
  if
#ifdef VIRTUAL
  :: s == 1 && is(s, s_none) && !store[s].floor -> store[s].floor = 1; commit(s); send(s, m_dropOk)
#else
  :: is(s, s_none) && !store[s].floor ->
     store[s].owner = p; store[s].grant = no;
     move(s, 8, retriever, s_none, s_dropped); send(s, m_dropOk) /* drop */
#endif
  :: store[s].grant == no && retriever(s) && is(s, s_received) ->
     move(s, 8, retriever, s_received, s_dropped); send(s, m_dropOk) /* drop */
  :: store[s].grant == no && retriever(s) && is(s, s_ready) ->
     move(s, 8, retriever, s_ready, s_dropped); send(s, m_dropOk) /* drop */
  :: store[s].grant == no && owner(s) && is(s, s_received) ->
     move(s, 29, owner, s_received, s_dropped); send(s, m_dropOk) /* drop, or lease refused as absent */
  :: store[s].grant == no && owner(s) && is(s, s_active) ->
     move(s, 29, owner, s_active, s_dropped); send(s, m_dropOk) /* drop, or lease refused as absent */
  :: is(s, s_none) && store[s].floor -> send(s, m_dropOk)
  :: store[s].grant == no && is(s, s_dropped) -> send(s, m_dropOk)
  :: else
  fi;
  onDropOk(s)
}
/* The peer's word stands durably: ours may go once the number cannot come again. */
inline onDropOk(s) {
  if
  :: is(s, s_dropped) && store[s].floor -> forget(s)
  :: else
  fi
}

#ifdef NO_R8_UNUSED
#define unused(s) true
#else
#define unused(s) (store[s].lease == 0 && store[s].horizon == 0 && store[s].consumed == 0)
#endif
#ifdef NO_R8_NUMBERS
#define newer(s, no) true
#else
#define newer(s, no) ((no) > store[s].grant)
#endif

inline give(s, p) {
#ifdef NO_R8_RELEASE
  send(s, m_grant(store[s].grant + 1))
#else
  release(s, p)
#endif
}
inline release(s, p) {
  move(s, 20, owner, s_active, s_ready); send(s, m_grant(store[s].grant + 1)); /* surplus, or asked for */
  store[s].owner = p; store[s].grant = store[s].grant + 1
}
inline onGrant(s, no) {
  if
  :: is(s, s_ready) && retriever(s) && newer(s, no) && unused(s) ->
     move(s, 21, retriever, s_ready, s_active); send(s, m_grantOk(no)); /* grant */
     store[s].owner = s; store[s].grant = no
  :: else
  fi
}

/* Row 28: who holds no row of a number that is spent has used it up, or never had it. */
inline onStatus(s, no) {
  if
#ifdef NO_R11
  :: is(s, s_none) -> send(s, x_absent)
#else
  :: is(s, s_none) && store[s].floor -> send(s, m_finished(no))
#endif
  :: is(s, s_dropped) -> send(s, m_drop(store[s].grant))
  :: else
  fi
}
inline onFinished(s, no) {
  if
  :: retriever(s) && is(s, s_received) -> timeOut(s)
  :: retriever(s) && is(s, s_ready) && store[s].grant == no ->
     store[s].consumed = store[s].consumed | (ALL & ~below(store[s].horizon)); commit(s)
  :: else
  fi
}

/* What a site says at the beginning of every session. */
inline resume(s) {
  mem[s].met = 1;
  if
#ifdef VIRTUAL
  :: is(s, s_received) && owner(s) -> timeOut(s)
#else
  :: is(s, s_received) && owner(s) -> send(s, m_tag(store[s].bytes))
#endif
  :: is(s, s_dropped) -> send(s, m_drop(store[s].grant))
  :: is(s, s_ready) && retriever(s) && store[s].grant > 0 && store[s].horizon == 0 ->
     send(s, m_status(store[s].grant)); send(s, m_grant(store[s].grant))
  :: retriever(s) && (is(s, s_received) || is(s, s_ready) && (store[s].grant == 0 || store[s].horizon > 0)) ->
     send(s, m_status(store[s].grant))
  :: else
  fi
}
