/* What a site has on disk and in memory, what was ever sent, and what is checked. */

#ifndef CELLS
#define CELLS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef GRANTS
#define GRANTS 1
#endif
#ifndef OFFERS
#define OFFERS 1
#endif
#ifndef BYTES
#define BYTES 1
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#ifndef CHECKS
#define CHECKS 63
#endif

#define TWICE 1     /* no cell is delivered twice to a side */
#define BOTH_ENDS 2 /* no cell is issued at both ends */
#define SAME 4      /* who fetches a key gets the bytes that were issued under its name */
#define LIVE 8      /* an issued key that was neither asked for nor has expired is there to be fetched */
#define ONE_OWNER 16
#define NOTICED 32  /* a store that is behind what the peer once heard of it is found out */
#define check(kind, holds) assert(!(CHECKS & kind) || (holds))

#ifdef TRACE
#define note(text, n) printf("site %d ", _pid); printf(text, n)
#else
#define note(text, n) skip
#endif
/* For a test that wants to know which rows a run came by. */
#ifdef COVERAGE
c_decl { static char rows[64]; }
#define came_by(row) c_code { if (!rows[row]) { rows[row] = 1; printf("came by row %d\n", row); } }
#else
#define came_by(row) skip
#endif

mtype:state = { s_none, s_received, s_ready, s_active, s_drained, s_dropped };

typedef Store {
  mtype:state state = s_none;
  bit owner;
  unsigned grant : 2;
  unsigned lease : 2;
  unsigned horizon : 2;
  unsigned consumed : CELLS;
  unsigned bytes : 2;         /* which bytes the block has here; 0 for none */
  bit floor;                  /* at or above the block's number */
#ifdef VIRTUAL
  bit seed;                   /* the seed's consumed bit */
#endif
  unsigned epoch : 2;
  bit further;                /* commits beyond those of the copy of this store */
  bit heard;                  /* has heard the peer say so of its store */
#ifdef NO_R3
  unsigned book : CELLS;
#endif
}

typedef Memory {
  bit met;                    /* the peer, since the process began */
  bit heard;
  unsigned book : CELLS;      /* cells under acknowledged lease, not given out */
  bit asks;                   /* for a lease of the cells below; nobody else has its nonce */
  unsigned from : 2;
  unsigned to : 2;
  unsigned replies : 6;       /* to that nonce, that may arrive */
  unsigned owed : 3;          /* a key that is consumed and not yet answered, counted from 1 */
}

Store store[2];
Store copy[2];
Memory mem[2];

#ifdef VIRTUAL
bit seedHeld = (VIRTUAL == 2);/* in the owner's book: leased and acknowledged */
bit seedIssued;               /* and for the checks: as a key, */
bit seedGrown;                /* into a block by the owner, */
bit seedTaken;                /* by the retriever, */
bit seedGot;                  /* fetched as a key */
#endif

unsigned session : 2;         /* 0 none, 1 after the hellos with resets due, 2 open, 3 with a RESYNC under way */
#define open (session == 2)
byte offers[2];
byte crashes[2];

/* Keys, by bytes and cell, one bit each: for the checks alone. */
byte issued[2];               /* by this site */
byte live[2];                 /* of those: not asked for and not expired */
byte got[2];                  /* fetched at this site */
bit lost;                     /* a store was put back: keys may be refused from here on */

/* Everything that a site ever sent: it may arrive at any time from then on, any number of times. */
int mail[2];
#define send(s, what) mail[s] = mail[s] | (what)
#define m_tag(bytes) (1 << ((bytes) - 1))
#define m_ready(bytes) (1 << ((bytes) + 1))
#define m_drop(grant) (1 << ((grant) + 4))
#define m_dropOk (1 << 7)
#define m_grant(grant) (1 << ((grant) + 7))
#define m_grantOk(grant) (1 << ((grant) + 9))
#define m_status(grant) (1 << ((grant) + 12))
#define m_finished(grant) (1 << ((grant) + 15))
#define x_absent (1 << 18)
/* Never beside the one above. */
#define m_open (1 << 18)
#define range(from, to) ((to) == 1 -> 0 : ((to) == 2 -> 1 + (from) : 3 + (from)))
/* Site 0 leases under grant 0 or 2, site 1 under grant 1. */
#define m_lease(grant, from, to) (1 << (19 + range(from, to) + 6 * ((grant) >> 1)))
/* Replies are kept with the request whose nonce they carry, and go with it. */
#define reply(s, what) mem[s].replies = mem[s].replies | (what)
#define ABSENT 4
#define m_leaseOk 1
#define m_leaseNo(horizon) (2 << (horizon))

#define is(s, what) (store[s].state == what)
#define owner(s) (store[s].owner == s)
#define retriever(s) (store[s].owner != s)
#define either(s) true
#define has(set, i) (((set) >> (i)) & 1)
#define below(n) ((1 << (n)) - 1)
#define ALL below(CELLS)
#define key(s, cells) ((cells) << ((store[s].bytes - 1) * CELLS))
#define ofAnyBytes(cells) ((cells) | ((cells) << CELLS))

inline commit(s) { store[s].heard = mem[s].heard; store[s].further = saved[s] }

/* The request for a lease is answered or given up: no answer to it counts any more (rows 12 and 13). */
inline settle(s) { mem[s].asks = 0; mem[s].from = 0; mem[s].to = 0; mem[s].replies = 0 }

inline keepBook(s) {
#ifdef NO_R3
  store[s].book = mem[s].book; commit(s)
#else
  skip
#endif
}

/* The block takes a state; with its end everything that hangs on its bytes goes. */
inline become(s, what) {
  store[s].state = what;
  commit(s);
  if
  :: what == s_dropped || what == s_drained || what == s_none ->
     store[s].lease = 0; store[s].horizon = 0; store[s].consumed = 0; store[s].bytes = 0;
     mem[s].book = 0; settle(s); keepBook(s);
     if
     :: what != s_dropped -> forget(s)
     :: else
     fi
  :: else
  fi
}
inline forget(s) { store[s].state = s_none; store[s].owner = 0; store[s].grant = 0; commit(s) }

/* A row of lib/kms/pool/block-table.ts; the comment behind each use is the row's event. */
#define move(s, row, role, before, after) \
  note("row %d\n", row); came_by(row); assert(role(s) && is(s, before)); become(s, after)
