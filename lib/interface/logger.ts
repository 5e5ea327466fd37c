/** Where a part writes its log: pino's method names. Key IDs, sites and indexes may be logged, key bytes never. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
