/* What the module holds for each realm of the process, and how an entry comes to its keys. */
#ifndef QKD_REALM_H
#define QKD_REALM_H

#include "versions.h"

struct qkd_realm {
    krb5_context context;
    struct qkd_agent agent;
    struct qkd_cache cache;
    struct qkd_realm *next;
};

/* The realm of this context; NULL where there is none, as in kadmin. */
struct qkd_realm *qkd_realm_of(krb5_context context);
/* Reads `qkd_socket` and `qkd_agent_uid` of the module's section in kdc.conf. */
krb5_error_code qkd_realm_add(krb5_context context, const char *section);
void qkd_realm_drop(krb5_context context);

/* Sees to it that the entry has the keys that are asked for: from the cache, or from the agent. */
krb5_error_code qkd_realm_load(krb5_context context, krb5_db_entry *entry, enum qkd_op op, uint16_t kvno);

/* Gives `code` with words for the log. */
__attribute__((format(printf, 3, 4))) krb5_error_code qkd_refuse(krb5_context context, krb5_error_code code,
                                                                 const char *format, ...);

#endif
