/** The thread behind `PlanWorker`: plans what it is sent, one after the other. */
import { parentPort } from 'node:worker_threads'
import { QkdError } from '../../errors.ts'
import { planNetwork } from './plan-network.ts'
import type { PlanAnswer, PlanJob } from './plan-worker.ts'

parentPort?.on('message', async ({ id, file, options }: PlanJob) => {
  const answer: PlanAnswer = await planNetwork(file, options).then(
    plan => ({ id, plan }),
    (error: unknown) => ({ id, failure: describeError(error) }),
  )
  parentPort?.postMessage(answer)
})

/** An error's class is lost between threads; its code is not. */
function describeError(error: unknown): NonNullable<PlanAnswer['failure']> {
  if (error instanceof QkdError) return { code: error.code, message: error.message, details: error.details }
  return {
    code: undefined,
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    details: [],
  }
}
