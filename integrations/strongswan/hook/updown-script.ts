import { isAbsolute } from 'node:path'
import { InvalidArgumentError, requireInteger } from '../../../lib/index.ts'
import { UPDOWN_NAMES } from './updown-file.ts'

/** Files that wait in the spool at most; the oldest make room. */
export const SPOOL_LIMIT = 1_000

/** What a hook is made for. */
export interface UpdownScriptOptions {
  /** Directory in which it leaves its files; absolute. */
  readonly spoolDir: string
  /** Files that may wait there, 1 to 10,000; the oldest make room. Default 1,000. */
  readonly spoolLimit?: number
}

/**
 * The program for `updown =` of a child in swanctl.conf: POSIX sh and three programs of coreutils. It leaves one file of
 * NAME=value lines and ends; it talks to nobody, because charon holds the IKE_SA as long as it runs.
 * @throws {InvalidArgumentError} the directory can't be named in a script, or the limit is out of range
 */
export function updownScript({ spoolDir, spoolLimit = SPOOL_LIMIT }: UpdownScriptOptions): string {
  requireInteger('spoolLimit', spoolLimit, { min: 1, max: 10_000 })
  if (!isAbsolute(spoolDir) || !/^[\w./@%+,:=-]+$/.test(spoolDir)) {
    throw new InvalidArgumentError(
      `The spool directory must be an absolute path of letters, digits and ./_@%+,:=- (it is ${JSON.stringify(spoolDir)})`,
    )
  }
  return `#!/bin/sh
# Written by qkd ipsec hook install: tells the IPsec agent of each CHILD_SA that comes up or goes down.
# charon waits for the end of this program's output, and the IKE_SA with it: so the output is closed first, nothing is
# asked of anybody, and the agent finds what is left here when it runs.
exec </dev/null >/dev/null 2>&1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077
spool=${spoolDir}
limit=${spoolLimit}
newline='
'

# The value of variable $1 in one line: a backslash becomes \\\\ and a line end \\n. What is too long to be honest is left out.
line() {
  eval "rest=\\\${$1-}"
  case \${#rest} in
    ? | ?? | ??? | ????) ;;
    *) return 0 ;;
  esac
  [ "\${#rest}" -le 1024 ] && [ -n "$rest" ] || return 0
  safe=
  while :; do
    case $rest in
      *[\\\\"$newline"]*)
        head=\${rest%%[\\\\"$newline"]*}
        case $rest in
          "$head"\\\\*) safe=$safe$head'\\\\' ;;
          *) safe=$safe$head'\\n' ;;
        esac
        rest=\${rest#"$head"?}
        ;;
      *) break ;;
    esac
  done
  printf '%s=%s\\n' "$1" "$safe$rest"
}

# Said in the file's name too, because calls that follow each other may end in another order.
case \${PLUTO_VERB-} in
  up-*) direction=up ;;
  down-*) direction=down ;;
  *) exit 0 ;;
esac
case \${PLUTO_UNIQUEID-} in
  '' | *[!0-9]* | ???????????*) exit 0 ;;
esac
now=$(date +%s%N)
case $now in
  *[!0-9]*) now=$(date +%s)000000000 ;;
esac

{
  [ -d "$spool" ] || mkdir -p "$spool"
  set -- "$spool"/[0-9]*.*.*.*
  while [ $# -ge "$limit" ]; do
    rm -f "$1"
    shift
  done
  for name in ${UPDOWN_NAMES.join(' ')}; do
    line "$name"
  done >"$spool/$now.$$.part" && mv -f "$spool/$now.$$.part" "$spool/$now.$$.$PLUTO_UNIQUEID.$direction"
} &
exit 0
`
}
