/*
 * Asks an agent as the KDC does, for tests: `ask-agent SOCKET`. Reads questions from standard input, a line each:
 * `C PRINCIPAL`, `V PRINCIPAL KVNO` or `T PRINCIPAL`. Prints what came of each, and the first byte of each key at most.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

static void print_reply(const struct qkd_reply *reply)
{
    printf("status %d kvno %u valid %u", reply->status, reply->kvno, reply->valid_ms);
    for (int i = 0; i < reply->count; i++)
        printf(" %d:%u:%02x", reply->keys[i].enctype, reply->keys[i].size, reply->keys[i].bytes[0]);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct qkd_agent agent;
    char line[2048], op, principal[1024];
    unsigned kvno;

    if (argc != 2)
        return 2;
    qkd_agent_init(&agent, argv[1], 0);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct qkd_question question = {.principal = principal};
        struct qkd_reply reply;

        kvno = 0;
        if (sscanf(line, "%c %1023s %u", &op, principal, &kvno) < 2)
            return 2;
        question.op = (enum qkd_op)op;
        question.kvno = (uint16_t)kvno;
        if (qkd_agent_ask(&agent, &question, &reply)) {
            print_reply(&reply);
            qkd_wipe(&reply, sizeof(reply));
        } else {
            printf("none: %s\n", agent.problem);
        }
        fflush(stdout);
    }
    qkd_agent_close(&agent);
    return 0;
}
