/* Key versions of one database entry, and the cache of those that the agent said stay valid for a while. */
#ifndef QKD_VERSIONS_H
#define QKD_VERSIONS_H

#include <kdb.h>

#include "agent.h"

/* Versions of one entry that a request may need: the current one, and what its tickets were sealed under. */
#define QKD_MAX_VERSIONS 4
#define QKD_CACHE_PLACES 32

/* One version, under the KDC's master key: no key of the pool lies in our memory in clear. */
struct qkd_version {
    uint16_t kvno;
    uint8_t count;
    krb5_key_data keys[QKD_MAX_KEYS];
};

struct qkd_place {
    char *principal; /* NULL for an empty place */
    int is_current;  /* what QKD_CURRENT gave; otherwise what QKD_VERSION did */
    int64_t until_ms;
    struct qkd_version version;
};

struct qkd_cache {
    struct qkd_place places[QKD_CACHE_PLACES];
    unsigned next;
};

/* Encrypts the keys of a reply under the master key that the entry names. The caller frees the version. */
krb5_error_code qkd_seal_version(krb5_context context, krb5_db_entry *entry, const struct qkd_reply *reply,
                                 struct qkd_version *version);
void qkd_free_version(krb5_context context, struct qkd_version *version);

/* The version that answers the question, if it is still valid; NULL otherwise. The cache keeps it. */
const struct qkd_version *qkd_cache_find(struct qkd_cache *cache, const struct qkd_question *question);
/* Keeps a version for that long. It belongs to the cache from then on, also where there is no memory to keep it. */
void qkd_cache_keep(krb5_context context, struct qkd_cache *cache, const struct qkd_question *question,
                    struct qkd_version *version, uint16_t valid_ms);
void qkd_cache_clear(krb5_context context, struct qkd_cache *cache);

/* Removes the keys that the database holds: a key of the pool is used, or none. */
void qkd_entry_strip(krb5_context context, krb5_db_entry *entry);
/* Whether the entry has the version; kvno 0 or below means the current one. */
int qkd_entry_has(const krb5_db_entry *entry, krb5_int32 kvno);
/*
 * Puts a copy of the version into the entry: as the current one, in place of what was, or beside the others. Keys stay
 * where they are in memory for as long as the entry lives: the KDC holds pointers to them while it looks for further ones.
 */
krb5_error_code qkd_entry_put(krb5_context context, krb5_db_entry *entry, const struct qkd_version *version,
                              int is_current);

#endif
