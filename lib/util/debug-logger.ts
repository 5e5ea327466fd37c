import { debuglog } from 'node:util'
import type { Logger } from '../interface/logger.ts'

/** The default logger of a part: silent unless `NODE_DEBUG=qkd:*` (or the part's own name) asks for it. */
export function debugLogger(part: string): Logger {
  const log = debuglog(`qkd:${part}`)
  const write = (level: string) => (fields: object, message: string) => log('%s %s %j', level, message, fields)
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}
