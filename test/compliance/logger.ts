import assert from 'node:assert/strict'
import type { Logger } from '../../lib/interface/logger.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { runSuite, type TestSetup } from './suite.ts'

/** A logger, and everything that it has written so far. */
export interface LoggerFixture {
  logger: Logger
  written(): Promise<string>
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** What every logger holds to. */
export function loggerCompliance(setup: TestSetup<LoggerFixture>): void {
  runSuite('Logger', setup, [
    [
      'writes message and fields at each of the four levels',
      async ({ logger, written }) => {
        for (const level of LEVELS) logger[level]({ site: `site-of-${level}` }, `a ${level} message`)
        const text = await written()
        for (const level of LEVELS)
          assert.match(
            text,
            new RegExp(`a ${level} message.*site-of-${level}|site-of-${level}.*a ${level} message`, 's'),
          )
      },
    ],
    [
      'takes fields of any kind without throwing: block numbers, errors, cycles, nothing',
      async ({ logger }) => {
        const cycle: Record<string, unknown> = {}
        cycle.self = cycle
        for (const fields of [{ block: 2n ** 63n }, { err: new Error('x') }, cycle, {}, { at: undefined }]) {
          for (const level of LEVELS) logger[level](fields, 'any')
        }
      },
    ],
    [
      'writes no byte of a key that stands among the fields',
      async ({ logger, written }) => {
        const secret = SecretKey.copyOf(Buffer.from('0123456789abcdef0123456789abcdef'))
        for (const level of LEVELS) logger[level]({ secret, nested: { list: [secret] } }, 'with a key')
        const text = await written()
        assert.doesNotMatch(text, /0123456789abcdef|MDEyMzQ1Njc4|3031323334/)
        assert.match(text, /SecretKey 256 bits/)
      },
    ],
  ])
}
