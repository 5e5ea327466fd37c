/**
 * Mutated ClientHellos over real sockets, `--count` of them (default 20,000), to one server: it must end every connection, give
 * nobody a session, keep nothing, and then serve an honest client.
 */
import { exposeGarbageCollector } from '../../test/helpers/garbage-collector.ts'
import { tryHelloSockets } from '../../test/helpers/hello-socket-trial.ts'
import type { SoakOptions } from '../soak.ts'

/** What may stay on the heap of a run that leaks nothing, in bytes. */
const HEAP_ROOM = 16 * 1024 * 1024

export async function run({ count = 20_000, log }: SoakOptions): Promise<void> {
  exposeGarbageCollector()
  const trial = await tryHelloSockets({ count, seed: Date.now(), onProgress: done => log(`${done} of ${count}`) })
  const answers = [...trial.answers].sort(([, a], [, b]) => b - a).map(([answer, n]) => `${answer}: ${n}`)
  log(`${count} connections ended: ${answers.join(', ')}`)
  log(
    `refusals told: ${trial.refusals}; heap ${(trial.heapGrowth / 1024 / 1024).toFixed(1)} MB more than after a tenth`,
  )
  const { sessions, pending, openSockets } = trial
  if (sessions + pending + openSockets > 0) {
    throw new Error(`${sessions} sessions, ${pending} look-ups and ${openSockets} sockets are left`)
  }
  if (trial.heapGrowth > HEAP_ROOM) throw new Error(`The heap grew by ${trial.heapGrowth} bytes`)
}
