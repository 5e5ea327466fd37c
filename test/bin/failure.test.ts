import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { EXIT_CODES } from '../../bin/exit-codes.ts'
import { describeFailure } from '../../bin/failure.ts'
import { PoolExhaustedError } from '../../lib/errors.ts'

describe('describeFailure', () => {
  it('takes code, details and the time for a retry from our own errors', () => {
    const error = new PoolExhaustedError('Not now', { details: [{ key_count_available: 2 }], retryAfterMs: 500 })
    expect(describeFailure(error)).to.deep.equal({
      code: 'ERR_QKD_POOL_EXHAUSTED',
      message: 'Not now',
      exitCode: EXIT_CODES.exhausted.code,
      details: [{ key_count_available: 2 }],
      retryAfterMs: 500,
    })
  })

  it('takes a time-out for a KME that does not answer, and an abort for an interruption', async () => {
    const timeout = await new Promise(resolve => {
      const signal = AbortSignal.timeout(1)
      signal.addEventListener('abort', () => resolve(signal.reason))
    })
    expect(describeFailure(timeout)).to.include({ exitCode: EXIT_CODES.unreachable.code })
    expect(describeFailure(AbortSignal.abort().reason)).to.include({ exitCode: EXIT_CODES.interrupted.code })
  })

  it('names the code of a system error once', async () => {
    const error = await readFile('/no/such/file').catch(error => error)
    expect(describeFailure(error)).to.deep.equal({
      code: 'ENOENT',
      message: "no such file or directory, open '/no/such/file'",
      exitCode: EXIT_CODES.system.code,
    })
  })

  it('takes anything else for a fault of the program, and says where to look', () => {
    for (const thrown of [new TypeError('x is not a function'), 'a string', undefined]) {
      const { code, exitCode, message } = describeFailure(thrown)
      expect({ code, exitCode }).to.deep.equal({ code: 'ERR_INTERNAL', exitCode: EXIT_CODES.internal.code })
      expect(message).to.include('NODE_DEBUG=qkd:cli')
    }
  })
})
