/* The way to the site's agent: one connection, one question at a time, a time limit for each, and a circuit breaker. */
#ifndef QKD_AGENT_H
#define QKD_AGENT_H

#include <sys/types.h>

#include "wire.h"

/* krb5kdc has one thread: while it waits here, every client of the realm waits. */
#define QKD_TIME_LIMIT_MS 200
/* How long the agent is left alone after it let us wait twice running, and at most. Once may be a busy machine. */
#define QKD_FIRST_REST_MS 500
#define QKD_LONGEST_REST_MS 8000

struct qkd_agent {
    char *socket_path;
    uid_t uid;        /* besides root and ourselves, who may be the agent */
    int fd;           /* -1 for none */
    pid_t owner;      /* who opened fd: krb5kdc forks its workers */
    uint32_t last_id;
    int64_t rest_until_ms; /* on the clock of qkd_now_ms */
    int waits;        /* for nothing, one after the other */
    int rest_ms;      /* of the last rest; 0 while all is well */
    char problem[256]; /* why the last question was not answered, in words for the log */
};

/* Prepares for questions; connects nothing. */
void qkd_agent_init(struct qkd_agent *agent, char *socket_path, uid_t uid);

/* Ends the connection. */
void qkd_agent_close(struct qkd_agent *agent);

/*
 * Asks the agent. True if it answered, also with a refusal; then the caller wipes `reply`. Otherwise false within
 * QKD_TIME_LIMIT_MS, and `agent->problem` says why. A question is sent once: QKD_TICKET consumes.
 */
int qkd_agent_ask(struct qkd_agent *agent, const struct qkd_question *question, struct qkd_reply *reply);

/* Milliseconds of a clock that nobody sets. */
int64_t qkd_now_ms(void);

#endif
