import { isQkdErrorCode, type QkdErrorCode } from '../lib/index.ts'

/** Every exit code of `qkd`, and what it says; `qkd --help` prints this table. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  failed: { code: 1, meaning: 'Node.js is too old, the demonstration did not come out, or a check found faults' },
  usage: { code: 2, meaning: 'a command, option or argument is wrong' },
  config: { code: 3, meaning: 'a configuration or certificate file is wrong' },
  unauthorized: { code: 4, meaning: 'the KME refuses this SAE, or the key was issued to another' },
  notFound: { code: 5, meaning: 'a key_ID is unknown, expired or was delivered before' },
  exhausted: { code: 6, meaning: 'not enough key now; try again later' },
  unreachable: { code: 7, meaning: 'no answer from the KME, or another answered in its place' },
  policy: { code: 8, meaning: 'the policy of a site refuses' },
  unavailable: { code: 9, meaning: 'no route, a link is down, or the pool must resynchronise; try again later' },
  response: { code: 10, meaning: 'the other end sent what its protocol does not allow' },
  handshake: { code: 11, meaning: 'TLS did not end in a session under the key' },
  store: { code: 12, meaning: 'the store of the site cannot be read or written' },
  dependency: { code: 13, meaning: 'an optional package is not installed' },
  charon: { code: 14, meaning: "strongSwan's charon can't be reached or refuses" },
  internal: { code: 70, meaning: 'a fault of qkd itself' },
  system: { code: 71, meaning: 'the operating system refused, for example a port that is in use' },
  interrupted: { code: 130, meaning: 'stopped by Ctrl-C or SIGTERM before the end' },
} as const satisfies Record<string, { code: number; meaning: string }>

export type Exit = keyof typeof EXIT_CODES

const exits: Record<QkdErrorCode, Exit> = {
  ERR_QKD_INVALID_ARGUMENT: 'usage',
  ERR_QKD_CONFIG: 'config',
  ERR_QKD_UNAUTHORIZED: 'unauthorized',
  ERR_QKD_KEY_NOT_FOUND: 'notFound',
  ERR_QKD_POOL_EXHAUSTED: 'exhausted',
  ERR_QKD_POLICY_DENIED: 'policy',
  ERR_QKD_NO_ROUTE: 'unavailable',
  ERR_QKD_LINK_DOWN: 'unavailable',
  ERR_QKD_POOL_DESYNC: 'unavailable',
  ERR_QKD_STORE: 'store',
  ERR_QKD_KME_RESPONSE: 'response',
  ERR_QKD_KME_UNREACHABLE: 'unreachable',
  ERR_QKD_PROTOCOL: 'response',
  ERR_QKD_CLOSED: 'unavailable',
  ERR_QKD_PSK_HANDSHAKE: 'handshake',
  ERR_QKD_VICI: 'charon',
  ERR_QKD_MISSING_DEPENDENCY: 'dependency',
}

/** The exit for an error code; `internal` for what is none of ours. */
export function exitFor(code: string): Exit {
  return isQkdErrorCode(code) ? exits[code] : 'internal'
}

/** The table in words, a line for each code. */
export function describeExitCodes(): string {
  const rows = Object.values(EXIT_CODES).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`)
  return `Exit codes:\n${rows.join('\n')}`
}
