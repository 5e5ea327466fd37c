import { expect } from 'chai'
import { QkdError, type QkdErrorCode } from '../../lib/errors.ts'

/** Expects `promise` to reject with that code, and gives the error back for further checks. */
export async function rejectsWith(promise: Promise<unknown>, code: QkdErrorCode): Promise<QkdError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(outcome, `expected a rejection with ${code}`).to.be.instanceOf(QkdError)
  expect((outcome as QkdError).code).to.equal(code)
  return outcome as QkdError
}
