/*
 * The pool protocol of lib/kms/pool in Promela: one block, two sites, every order of events. `model.test.ts` lets Spin
 * visit all of it, sound and with one rule less at a time.
 *
 * What is modelled: the two durable rows of the block, what each process has in memory, crashes at any moment, a copy
 * of each store taken and put back, blocks from the QNL that differ or come again, and a network that delivers whatever
 * was ever sent: once, often, late, after restarts, in any order or never. That is weaker than the code's sessions,
 * whose numbered messages end with them: what holds here needs no session.
 *
 * What is not: time (a lease ends and a key expires at any moment that the deadlines allow), several blocks but for the
 * commits that they cause, the bytes of tags, progress. Handling a message, with its write, is one step; a crash between
 * the write and the answer is an answer that is lost.
 *
 * Parameters: CELLS in the block (1 to 3), CRASHES of each site, GRANTS of the block, OFFERS of the block by the QNL at
 * each site, BYTES that an offer may have (2: they may differ), RESTORES (1: of site 0, 2: of site 1, 3: of both).
 * VIRTUAL (the block is one that the sites make: 1 of their secret, 2 of a seed). Site 0 owns the block at birth. NO_R… leaves a
 * rule out.
 *
 * The shortest way to a fault, in words:
 *   spin -DTRACE -DNO_R7 -a pool.pml && gcc -DSAFETY -DBFS -o pan pan.c && ./pan -E && spin -DTRACE -DNO_R7 -t pool.pml
 */
#include "records.pml"
#include "life.pml"
#include "keys.pml"
#include "restores.pml"

#define ME _pid
#define PEER (1 - _pid)
#define came(what) (open && (mail[PEER] & (what)))
#define oldLease(no, start, end) (came(m_lease(no, start, end)) && leasable(ME, PEER, no, start))

active [2] proctype site() {
  do
  /* The block's life. */
#ifdef VIRTUAL
  :: d_step { ME == 0 && open && mem[ME].met && offers[ME] < OFFERS && unopened(ME) && (VIRTUAL == 1 || seedHeld) ->
       openBlock(ME) }
  :: d_step { ME == 1 && came(m_open) -> onOpen(ME) }
  :: d_step { ME == 0 && seedHeld -> issueSeed() }
  :: d_step { ME == 1 && mayServe(ME) && seedIssued && !seedGot && !store[1].seed -> fetchSeed(ME) }
#else
  :: d_step { mem[ME].met && offers[ME] < OFFERS -> offer(ME, 1) }
#endif
#if BYTES > 1
  :: d_step { mem[ME].met && offers[ME] < OFFERS && (ME == 1 || offers[ME] > 0) -> offer(ME, 2) }
  :: d_step { came(m_tag(2)) -> onTag(ME, 2) }
  :: d_step { came(m_ready(2)) -> onReady(ME, 2) }
#endif
  :: d_step { came(m_tag(1)) -> onTag(ME, 1) }
  :: d_step { came(m_ready(1)) -> onReady(ME, 1) }
  :: d_step { open && is(ME, s_received) -> timeOut(ME) }
#ifdef NO_R7
  :: d_step { open && is(ME, s_ready) && retriever(ME) -> send(ME, m_drop(store[ME].grant)); become(ME, s_dropped) }
#endif
  :: d_step { came(m_drop(0)) -> onDrop(ME, PEER, 0) }
  :: d_step { came(m_drop(1)) -> onDrop(ME, PEER, 1) }
  :: d_step { came(m_dropOk) -> onDropOk(ME) }
  :: d_step { open && is(ME, s_active) && owner(ME) && unused(ME) && store[ME].grant < GRANTS -> give(ME, PEER) }
  :: d_step { came(m_grant(1)) -> onGrant(ME, 1) }
#if GRANTS > 1
  :: d_step { came(m_drop(2)) -> onDrop(ME, PEER, 2) }
  :: d_step { came(m_grant(2)) -> onGrant(ME, 2) }
  :: d_step { came(m_status(2)) -> onStatus(ME, 2) }
  :: d_step { came(m_finished(2)) -> onFinished(ME, 2) }
#endif
#ifdef NO_R8_RELEASE
  :: d_step { came(m_grantOk(store[ME].grant + 1)) && is(ME, s_active) && owner(ME) -> release(ME, PEER) }
#endif
  :: d_step { came(m_status(0)) -> onStatus(ME, 0) }
  :: d_step { came(m_status(1)) -> onStatus(ME, 1) }
  :: d_step { came(m_finished(0)) -> onFinished(ME, 0) }
  :: d_step { came(m_finished(1)) -> onFinished(ME, 1) }
#ifdef NO_R11
  :: d_step { came(x_absent) && is(ME, s_ready) && store[ME].owner == PEER -> become(ME, s_none) }
#endif

  /* The owner's keys. */
  :: d_step { mayAsk(ME) -> ask(ME, store[ME].lease + 1) }
  :: d_step { mayAsk(ME) && store[ME].lease + 1 < CELLS -> ask(ME, CELLS) }
  :: d_step { mem[ME].asks -> settle(ME) }
  :: d_step { open && (mem[ME].replies & m_leaseOk) -> onLeaseOk(ME) }
  :: d_step { open && (mem[ME].replies & m_leaseNo(ABSENT)) -> onAbsent(ME) }
  :: d_step { open && (mem[ME].replies & m_leaseNo(0)) -> onLeaseNo(ME, 0) }
  :: d_step { open && (mem[ME].replies & m_leaseNo(1)) -> onLeaseNo(ME, 1) }
  :: d_step { (mem[ME].book & 1) -> issue(ME, PEER, 0) }
#if CELLS > 1
  :: d_step { open && (mem[ME].replies & m_leaseNo(2)) -> onLeaseNo(ME, 2) }
  :: d_step { (mem[ME].book & 3) == 2 -> issue(ME, PEER, 1) }
#endif
#if CELLS > 2
  :: d_step { open && (mem[ME].replies & m_leaseNo(3)) -> onLeaseNo(ME, 3) }
  :: d_step { (mem[ME].book & 7) == 4 -> issue(ME, PEER, 2) }
#endif
#ifdef NO_R2
  :: d_step { oldAck(ME, PEER, 0, 1) -> mem[ME].book = mem[ME].book | 1 }
  :: d_step { oldAck(ME, PEER, 0, 2) -> mem[ME].book = mem[ME].book | 3 }
  :: d_step { oldAck(ME, PEER, 1, 2) -> mem[ME].book = mem[ME].book | 2 }
#endif
  :: d_step { mem[ME].book -> mem[ME].book = 0; keepBook(ME) }
  :: d_step { awake(ME) && usedUp(ME) -> finish(ME) }

  /* The retriever's. */
  :: d_step { open && mem[PEER].asks -> onLease(ME, PEER) }
  :: d_step { oldLease(PEER, 0, 1) -> onOldLease(ME, 0, 1) }
  :: d_step { fetchable(ME, PEER, 0) -> fetch(ME, PEER, 0) }
  :: d_step { expirable(ME, PEER, 0) -> expire(ME, PEER, 0) }
#if CELLS > 1
  :: d_step { oldLease(PEER, 0, 2) -> onOldLease(ME, 0, 2) }
  :: d_step { oldLease(PEER, 1, 2) -> onOldLease(ME, 1, 2) }
  :: d_step { fetchable(ME, PEER, 1) -> fetch(ME, PEER, 1) }
  :: d_step { expirable(ME, PEER, 1) -> expire(ME, PEER, 1) }
#endif
#if CELLS > 2
  :: d_step { oldLease(PEER, 0, 3) -> onOldLease(ME, 0, 3) }
  :: d_step { oldLease(PEER, 1, 3) -> onOldLease(ME, 1, 3) }
  :: d_step { oldLease(PEER, 2, 3) -> onOldLease(ME, 2, 3) }
  :: d_step { fetchable(ME, PEER, 2) -> fetch(ME, PEER, 2) }
  :: d_step { expirable(ME, PEER, 2) -> expire(ME, PEER, 2) }
#endif
#if GRANTS > 1
  :: d_step { oldLease(2, 0, 1) -> onOldLease(ME, 0, 1) }
  :: d_step { oldLease(2, 0, 2) -> onOldLease(ME, 0, 2) }
  :: d_step { oldLease(2, 1, 2) -> onOldLease(ME, 1, 2) }
#endif
  :: d_step { mem[ME].owed -> answer(ME) }
  :: d_step { awake(ME) && is(ME, s_ready) && retriever(ME) && store[ME].consumed == ALL -> drain(ME) }

  /* Sessions, crashes and restores. */
  :: d_step { open && store[PEER].further && !mem[ME].heard -> hear(ME, PEER) }
  :: d_step { awake(ME) && mem[ME].heard && !learned(PEER) -> remember(ME, PEER) }
  :: d_step { awake(ME) && (mem[ME].heard != store[ME].heard || saved[ME] != store[ME].further) -> commit(ME) }
  :: d_step { session == 1 && due[ME] -> reset(ME, PEER) }
  :: d_step { session == 3 && back[PEER] && !said[ME].told -> tellState(ME) }
  :: d_step { session == 3 && back[ME] && said[PEER].told -> merge(ME, PEER) }
  :: d_step { crashes[ME] < CRASHES -> crashes[ME]++; start(ME) }
  :: d_step { has(RESTORES, ME) && !saved[ME] -> backup(ME, PEER) }
  :: d_step { saved[ME] && !restored[ME] && store[ME].further -> restore(ME) }

  /* What must hold in every state where nothing was lost. */
  :: d_step { (CHECKS & LIVE) && !lost && (live[PEER] & ~servableKeys(ME, PEER)) -> check(LIVE, false) }
  :: d_step { (CHECKS & ONE_OWNER) && !lost && is(0, s_active) && is(1, s_active) -> check(ONE_OWNER, false) }
  od
}

active proctype network() {
  do
  /* Three resets are enough: one that is interrupted, and interrupted again, leaves the sites as before. */
  :: d_step { session == 0 && seen && maxEpoch < 3 -> hello() }
  :: d_step { session != 0 -> note("session lost %d\n", session); cut() }
  od
}
