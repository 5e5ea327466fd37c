#include "versions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void free_keys(krb5_context context, krb5_key_data *keys, int count)
{
    for (int i = 0; i < count; i++) {
        krb5_dbe_free_key_data_contents(context, &keys[i]);
        memset(&keys[i], 0, sizeof(keys[i]));
    }
}

krb5_error_code qkd_seal_version(krb5_context context, krb5_db_entry *entry, const struct qkd_reply *reply,
                                 struct qkd_version *version)
{
    krb5_keyblock *master_key, key;
    krb5_error_code code;

    memset(version, 0, sizeof(*version));
    code = krb5_dbe_find_mkey(context, entry, &master_key);
    if (code != 0)
        return code;
    version->kvno = reply->kvno;
    for (uint8_t i = 0; i < reply->count; i++) {
        memset(&key, 0, sizeof(key));
        key.enctype = reply->keys[i].enctype;
        key.length = reply->keys[i].size;
        key.contents = (krb5_octet *)reply->keys[i].bytes;
        code = krb5_dbe_encrypt_key_data(context, master_key, &key, NULL, reply->kvno, &version->keys[i]);
        if (code != 0) {
            qkd_free_version(context, version);
            return code;
        }
        version->count = (uint8_t)(i + 1);
    }
    return 0;
}

void qkd_free_version(krb5_context context, struct qkd_version *version)
{
    free_keys(context, version->keys, QKD_MAX_KEYS);
    memset(version, 0, sizeof(*version));
}

static void empty_place(krb5_context context, struct qkd_place *place)
{
    qkd_free_version(context, &place->version);
    free(place->principal);
    memset(place, 0, sizeof(*place));
}

static int answers(const struct qkd_place *place, const struct qkd_question *question)
{
    if (place->principal == NULL || question->op == QKD_TICKET || strcmp(place->principal, question->principal) != 0)
        return 0;
    if (question->op == QKD_CURRENT)
        return place->is_current;
    return place->version.kvno == question->kvno;
}

const struct qkd_version *qkd_cache_find(struct qkd_cache *cache, const struct qkd_question *question)
{
    int64_t now_ms = qkd_now_ms();

    for (int i = 0; i < QKD_CACHE_PLACES; i++) {
        struct qkd_place *place = &cache->places[i];

        if (answers(place, question) && now_ms < place->until_ms)
            return &place->version;
    }
    return NULL;
}

/* The place that holds the answer to the same question; otherwise the one that was filled the longest ago. */
static struct qkd_place *place_for(struct qkd_cache *cache, const struct qkd_question *question)
{
    for (int i = 0; i < QKD_CACHE_PLACES; i++) {
        struct qkd_place *place = &cache->places[i];

        if (answers(place, question) && place->is_current == (question->op == QKD_CURRENT))
            return place;
    }
    cache->next = (cache->next + 1) % QKD_CACHE_PLACES;
    return &cache->places[cache->next];
}

void qkd_cache_keep(krb5_context context, struct qkd_cache *cache, const struct qkd_question *question,
                    struct qkd_version *version, uint16_t valid_ms)
{
    char *principal = valid_ms == 0 || question->op == QKD_TICKET ? NULL : strdup(question->principal);
    struct qkd_place *place;

    if (principal == NULL) {
        qkd_free_version(context, version);
        return;
    }
    place = place_for(cache, question);
    empty_place(context, place);
    place->principal = principal;
    place->is_current = question->op == QKD_CURRENT;
    place->until_ms = qkd_now_ms() + valid_ms;
    place->version = *version;
    memset(version, 0, sizeof(*version));
}

void qkd_cache_clear(krb5_context context, struct qkd_cache *cache)
{
    for (int i = 0; i < QKD_CACHE_PLACES; i++)
        empty_place(context, &cache->places[i]);
}

void qkd_entry_strip(krb5_context context, krb5_db_entry *entry)
{
    free_keys(context, entry->key_data, entry->n_key_data);
    free(entry->key_data);
    entry->key_data = NULL;
    entry->n_key_data = 0;
}

/* The places of an entry that we keep: the current version's first, as the KDC takes the kvno of a ticket from there. */
#define PLACES (QKD_MAX_VERSIONS * QKD_MAX_KEYS)

int qkd_entry_has(const krb5_db_entry *entry, krb5_int32 kvno)
{
    if (kvno <= 0)
        return entry->n_key_data > 0 && entry->key_data[0].key_data_ver != 0;
    for (int i = 0; i < entry->n_key_data; i++) {
        if (entry->key_data[i].key_data_ver != 0 && entry->key_data[i].key_data_kvno == kvno)
            return 1;
    }
    return 0;
}

static krb5_error_code copy_key(krb5_key_data *to, const krb5_key_data *from)
{
    krb5_octet *contents = malloc(from->key_data_length[0]);

    if (contents == NULL)
        return ENOMEM;
    memcpy(contents, from->key_data_contents[0], from->key_data_length[0]);
    *to = *from;
    to->key_data_contents[0] = contents;
    to->key_data_contents[1] = NULL;
    to->key_data_length[1] = 0;
    return 0;
}

krb5_error_code qkd_entry_put(krb5_context context, krb5_db_entry *entry, const struct qkd_version *version,
                              int is_current)
{
    int first = is_current ? 0 : QKD_MAX_KEYS;

    if (entry->key_data == NULL) {
        entry->key_data = calloc(PLACES, sizeof(*entry->key_data));
        if (entry->key_data == NULL)
            return ENOMEM;
    }
    while (!is_current && first < PLACES && entry->key_data[first].key_data_ver != 0)
        first += QKD_MAX_KEYS;
    if (first == PLACES)
        return KRB5_KDB_NO_MATCHING_KEY;
    free_keys(context, &entry->key_data[first], QKD_MAX_KEYS);
    for (int i = 0; i < version->count; i++) {
        krb5_error_code code = copy_key(&entry->key_data[first + i], &version->keys[i]);

        if (code != 0) {
            free_keys(context, &entry->key_data[first], QKD_MAX_KEYS);
            return code;
        }
    }
    if (entry->n_key_data < first + version->count)
        entry->n_key_data = (krb5_int16)(first + version->count);
    return 0;
}
