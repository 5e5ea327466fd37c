/*
 * KDB module "qkdkdb" for MIT krb5: the stock db2 module, but that principals with the string attribute `qkd` have the
 * keys which the agent of this site holds, whatever the database says. Only inside the KDC: kadmin and kdb5_util see
 * db2, so that no key of the pool is ever written into the database.
 *
 *   setstr krbtgt/B.EXAMPLE@A.EXAMPLE qkd epoch     the key of the trust's current version
 *   setstr HTTP/www.example@A.EXAMPLE qkd ticket    a key of its own for every ticket that the TGS issues
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <kdb.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "realm.h"

/* The version of the module interface that this file was written for: krb5 1.20 to 1.22. A change is to be read first. */
#if KRB5_KDB_DAL_MAJOR_VERSION != 9
#error "This krb5 has another database module interface than 9 (KRB5_KDB_DAL_MAJOR_VERSION), which the module is written for"
#endif

/* Exported by libkrb5 for libkdb5, which uses it in the search that ours replaces; in no installed header. */
extern krb5_boolean krb5_is_permitted_enctype(krb5_context context, krb5_enctype enctype);

enum mark { UNMARKED, EPOCH, TICKET, UNREADABLE };

/* Given by name to the library that loads us. */
__attribute__((visibility("default"))) kdb_vftabl kdb_function_table;
static kdb_vftabl base;

static enum mark mark_of(krb5_context context, krb5_db_entry *entry)
{
    enum mark mark = UNREADABLE;
    char *value = NULL;

    if (krb5_dbe_get_string(context, entry, "qkd", &value) != 0)
        return UNREADABLE;
    if (value == NULL)
        return UNMARKED;
    if (strcmp(value, "epoch") == 0)
        mark = EPOCH;
    else if (strcmp(value, "ticket") == 0)
        mark = TICKET;
    krb5_dbe_free_string(context, value);
    return mark;
}

static krb5_error_code load_wanted(krb5_context context, krb5_db_entry *entry, enum mark mark, krb5_int32 kvno)
{
    if (mark == UNREADABLE)
        return qkd_refuse(context, KRB5KRB_ERR_GENERIC, "string attribute qkd must be epoch or ticket");
    if (kvno > UINT16_MAX)
        return qkd_refuse(context, KRB5KRB_AP_ERR_BADKEYVER, "kvno %d is none that an agent announces", (int)kvno);
    if (qkd_entry_has(entry, kvno))
        return 0;
    /* QKD_CURRENT also for an entry with a key of its own for every ticket: nothing says that the asker is authenticated. */
    return qkd_realm_load(context, entry, kvno <= 0 ? QKD_CURRENT : QKD_VERSION, kvno <= 0 ? 0 : (uint16_t)kvno);
}

/* As libkdb5's own search, which it does not export. */
static krb5_error_code search(krb5_context context, krb5_db_entry *entry, krb5_int32 *start, krb5_int32 enctype,
                              krb5_int32 salt_type, krb5_int32 kvno, krb5_key_data **found)
{
    krb5_boolean saw_other = FALSE;

    if (entry->n_key_data == 0)
        return KRB5_KDB_NO_MATCHING_KEY;
    if (kvno == 0)
        kvno = entry->key_data[0].key_data_kvno;
    for (int i = *start; i < entry->n_key_data; i++) {
        krb5_key_data *key = &entry->key_data[i];
        krb5_int32 own_salt = key->key_data_ver > 1 ? key->key_data_type[1] : KRB5_KDB_SALTTYPE_NORMAL;

        if (key->key_data_ver == 0 || (enctype != -1 && key->key_data_type[0] != enctype) ||
            (salt_type >= 0 && own_salt != salt_type) || (kvno >= 0 && key->key_data_kvno != kvno))
            continue;
        if (!krb5_is_permitted_enctype(context, key->key_data_type[0])) {
            saw_other = TRUE;
            continue;
        }
        *start = i + 1;
        *found = key;
        return 0;
    }
    return *start == 0 && saw_other ? KRB5_KDB_NO_PERMITTED_KEY : KRB5_KDB_NO_MATCHING_KEY;
}

static krb5_error_code search_enctype(krb5_context context, krb5_db_entry *entry, krb5_int32 *start,
                                      krb5_int32 enctype, krb5_int32 salt_type, krb5_int32 kvno,
                                      krb5_key_data **found)
{
    *found = NULL;
    if (enctype != -1 && !krb5_is_permitted_enctype(context, enctype))
        return KRB5_KDB_NO_PERMITTED_KEY;
    if (*start == 0 && qkd_realm_of(context) != NULL) {
        enum mark mark = mark_of(context, entry);
        krb5_error_code code = mark == UNMARKED ? 0 : load_wanted(context, entry, mark, kvno);

        if (code != 0)
            return code;
    }
    return search(context, entry, start, enctype, salt_type, kvno, found);
}

/* No question to the agent yet: which key is wanted shows in the search. */
static krb5_error_code get_principal(krb5_context context, krb5_const_principal name, unsigned int flags,
                                     krb5_db_entry **entry)
{
    krb5_error_code code = base.get_principal(context, name, flags, entry);

    if (code == 0 && qkd_realm_of(context) != NULL && mark_of(context, *entry) != UNMARKED)
        qkd_entry_strip(context, *entry);
    return code;
}

/* The request is authenticated here, and what fails here is told by its cause: later the KDC would only say "no key". */
static krb5_error_code check_policy_tgs(krb5_context context, krb5_kdc_req *request, krb5_db_entry *server,
                                        krb5_ticket *ticket, const char **status, krb5_pa_data ***e_data)
{
    krb5_error_code code = KRB5_PLUGIN_OP_NOTSUPP;
    enum mark mark;

    if (base.check_policy_tgs != NULL)
        code = base.check_policy_tgs(context, request, server, ticket, status, e_data);
    if ((code != 0 && code != KRB5_PLUGIN_OP_NOTSUPP) || qkd_realm_of(context) == NULL)
        return code;
    mark = mark_of(context, server);
    /* A ticket from user to user is sealed under a session key. */
    if (mark == UNMARKED || (request->kdc_options & KDC_OPT_ENC_TKT_IN_SKEY) != 0)
        return code;
    code = mark == TICKET ? qkd_realm_load(context, server, QKD_TICKET, 0) : load_wanted(context, server, mark, 0);
    if (code != 0)
        *status = "QKD_KEY";
    return code;
}

static krb5_error_code init_module(krb5_context context, char *section, char **arguments, int mode)
{
    krb5_error_code code = base.init_module(context, section, arguments, mode);

    qkd_realm_drop(context);
    if (code != 0 || (mode & KRB5_KDB_SRV_TYPE_KDC) == 0)
        return code;
    code = qkd_realm_add(context, section);
    if (code != 0)
        base.fini_module(context);
    return code;
}

static krb5_error_code fini_module(krb5_context context)
{
    qkd_realm_drop(context);
    return base.fini_module(context);
}

/* db2 stands beside the libraries of the same krb5, unless the build says where. */
static int find_db2(char *path, size_t size)
{
#ifdef QKD_DB2_MODULE
    return snprintf(path, size, "%s", QKD_DB2_MODULE) < (int)size;
#else
    Dl_info library;
    const char *name;

    if (dladdr((void *)krb5_db_open, &library) == 0 || (name = strrchr(library.dli_fname, '/')) == NULL)
        return 0;
    return snprintf(path, size, "%.*s/krb5/plugins/kdb/db2.so", (int)(name - library.dli_fname), library.dli_fname) <
           (int)size;
#endif
}

/* krb5 reads our table as soon as the module is loaded. Without db2 it stays empty, and no KDC takes it. */
__attribute__((constructor)) static void lay_over_db2(void)
{
    char path[4096];
    void *library = find_db2(path, sizeof(path)) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    kdb_vftabl *table = library == NULL ? NULL : dlsym(library, "kdb_function_table");

    if (table == NULL || table->maj_ver != KRB5_KDB_DAL_MAJOR_VERSION) {
        syslog(LOG_AUTHPRIV | LOG_ERR, "qkdkdb: no db2 module of interface version %d at %s",
               KRB5_KDB_DAL_MAJOR_VERSION, path);
        if (library != NULL)
            dlclose(library);
        return;
    }
    base = *table;
    kdb_function_table = base;
    kdb_function_table.init_module = init_module;
    kdb_function_table.fini_module = fini_module;
    kdb_function_table.get_principal = get_principal;
    kdb_function_table.dbe_search_enctype = search_enctype;
    kdb_function_table.check_policy_tgs = check_policy_tgs;
}
