#include "realm.h"

#include <errno.h>
#include <profile.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct qkd_realm *realms;

struct qkd_realm *qkd_realm_of(krb5_context context)
{
    struct qkd_realm *realm = realms;

    while (realm != NULL && realm->context != context)
        realm = realm->next;
    return realm;
}

krb5_error_code qkd_refuse(krb5_context context, krb5_error_code code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    krb5_vset_error_message(context, code, format, arguments);
    va_end(arguments);
    return code;
}

/*
 * A refusal of the agent as the KDC and its log tell it. Codes of the protocol: with any other the KDC loses the words. On
 * KRB5KDC_ERR_SVC_UNAVAILABLE a client asks the realm's next KDC, whose agent may do better.
 */
static krb5_error_code refusal(krb5_context context, const struct qkd_question *question, enum qkd_status status)
{
    switch (status) {
    case QKD_UNKNOWN_KVNO:
        return qkd_refuse(context, KRB5KRB_AP_ERR_BADKEYVER,
                          "kvno %u of %s was never announced to the agent of this site, or its time is over",
                          question->kvno, question->principal);
    case QKD_NO_KEY:
        return qkd_refuse(context, KRB5KDC_ERR_SVC_UNAVAILABLE, "the agent of this site has no key for %s now",
                          question->principal);
    default:
        return qkd_refuse(context, KRB5KRB_ERR_GENERIC, "the agent of this site refused the request for %s",
                          question->principal);
    }
}

/* Asks the agent and puts its answer into the entry. */
static krb5_error_code fetch(krb5_context context, struct qkd_realm *realm, krb5_db_entry *entry,
                             const struct qkd_question *question)
{
    struct qkd_version version;
    struct qkd_reply reply;
    krb5_error_code code;
    uint16_t valid_ms;

    if (!qkd_agent_ask(&realm->agent, question, &reply))
        return qkd_refuse(context, KRB5KDC_ERR_SVC_UNAVAILABLE, "%s: %s", question->principal, realm->agent.problem);
    if (reply.status != QKD_OK)
        return refusal(context, question, reply.status);
    valid_ms = reply.valid_ms;
    code = qkd_seal_version(context, entry, &reply, &version);
    qkd_wipe(&reply, sizeof(reply));
    if (code != 0)
        return code;
    code = qkd_entry_put(context, entry, &version, question->op != QKD_VERSION);
    qkd_cache_keep(context, &realm->cache, question, &version, valid_ms);
    return code;
}

/* Sees to it that the entry has the keys that the question is about. */
krb5_error_code qkd_realm_load(krb5_context context, krb5_db_entry *entry, enum qkd_op op, uint16_t kvno)
{
    struct qkd_realm *realm = qkd_realm_of(context);
    const struct qkd_version *known;
    struct qkd_question question = {.op = op, .kvno = kvno};
    char *principal;
    krb5_error_code code;

    if (realm == NULL)
        return qkd_refuse(context, KRB5_KDB_DBNOTINITED, "the qkd database module was not initialized");
    code = krb5_unparse_name(context, entry->princ, &principal);
    if (code != 0)
        return code;
    question.principal = principal;
    known = qkd_cache_find(&realm->cache, &question);
    if (known != NULL)
        code = qkd_entry_put(context, entry, known, op != QKD_VERSION);
    else
        code = fetch(context, realm, entry, &question);
    krb5_free_unparsed_name(context, principal);
    return code;
}

void qkd_realm_drop(krb5_context context)
{
    for (struct qkd_realm **link = &realms; *link != NULL; link = &(*link)->next) {
        struct qkd_realm *realm = *link;

        if (realm->context != context)
            continue;
        *link = realm->next;
        qkd_cache_clear(context, &realm->cache);
        qkd_agent_close(&realm->agent);
        free(realm->agent.socket_path);
        free(realm);
        return;
    }
}

/* Reads `qkd_socket` and `qkd_agent_uid` of the module's section in kdc.conf. */
krb5_error_code qkd_realm_add(krb5_context context, const char *section)
{
    profile_t profile;
    char *configured = NULL, *socket_path;
    struct qkd_realm *realm;
    int uid = 0;
    long code = krb5_get_profile(context, &profile);

    if (code != 0)
        return (krb5_error_code)code;
    code = profile_get_string(profile, KDB_MODULE_SECTION, section, "qkd_socket", NULL, &configured);
    if (code == 0)
        code = profile_get_integer(profile, KDB_MODULE_SECTION, section, "qkd_agent_uid", 0, &uid);
    socket_path = configured == NULL ? NULL : strdup(configured);
    profile_release_string(configured);
    profile_abandon(profile);
    if (code != 0 || socket_path == NULL || uid < 0) {
        free(socket_path);
        return qkd_refuse(context, code != 0 ? (krb5_error_code)code : EINVAL,
                          "[dbmodules] %s needs qkd_socket, the path of the agent's socket, and no negative qkd_agent_uid",
                          section);
    }
    realm = calloc(1, sizeof(*realm));
    if (realm == NULL) {
        free(socket_path);
        return ENOMEM;
    }
    realm->context = context;
    qkd_agent_init(&realm->agent, socket_path, (uid_t)uid);
    realm->next = realms;
    realms = realm;
    return 0;
}
