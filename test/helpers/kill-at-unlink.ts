import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const SOURCE = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    int result = real(path);
    size_t size = strlen(path);
    if (result == 0 && size > 11 && strcmp(path + size - 11, ".kadm5.lock") == 0)
        kill(getpid(), SIGKILL);
    return result;
}
`

/**
 * Builds a library that, preloaded, kills a program the moment it has unlinked the lock file of a KDC's administration
 * database: where kdb5_util load is at its weakest. Gives its path.
 */
export async function buildKillAtUnlink(directory: string): Promise<string> {
  const [source, library] = [join(directory, 'kill-at-unlink.c'), join(directory, 'kill-at-unlink.so')]
  await writeFile(source, SOURCE)
  await promisify(execFile)('gcc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'])
  return library
}
