import { debuglog, inspect } from 'node:util'
import type { Logger } from '../interface/logger.ts'

/**
 * The default logger of a part: silent unless `NODE_DEBUG=qkd:*` (or the part's own name) asks for it, then a line an
 * entry on standard error.
 */
export function debugLogger(part: string): Logger {
  const log = debuglog(`qkd:${part}`)
  return lineLogger(
    line => log('%s', line),
    () => log.enabled,
  )
}

/** A logger that writes a line an entry. Fields may hold anything: block numbers, errors and cycles included. */
export function lineLogger(write: (line: string) => void, isEnabled: () => boolean = () => true): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    if (isEnabled())
      write(`${level} ${message} ${inspect(fields, { breakLength: Number.POSITIVE_INFINITY, depth: 3 })}`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
