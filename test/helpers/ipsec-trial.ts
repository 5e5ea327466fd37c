import type { PingReport } from './charon/ping-run.ts'
import { convergence, type IpsecPair, repeatedIds } from './ipsec-pair.ts'

/** What many rotations under traffic came to. */
export interface RotationTrial {
  readonly report: PingReport
  /** Rotations that lost at most one ping, as a share. */
  readonly gentle: number
  readonly worst: number
}

/**
 * Rotates `count` times under a ping every 10 ms. Rejects at the first breach: an SA that is not on a new PPK_ID, logs that
 * do not name the same ones in the same order, an end without its one SA, a key that stays.
 */
export async function rotateUnderPing(pair: IpsecPair, count: number): Promise<RotationTrial> {
  const ping = await pair.charons.ping({ intervalMs: 10 })
  for (let round = 0; round < count; round += 1) {
    ping.mark()
    await pair.rotate()
    // Losses belong to the rotation after which they are found: a few pings between one and the next.
    await ping.flows()
  }
  const report = await ping.stop()
  const [left, right] = [await pair.a.ppkIdsInLog(), await pair.b.ppkIdsInLog()]
  if (left.join() !== right.join()) throw new Error(`The logs differ: ${left.join()} and ${right.join()}`)
  const repeated = await repeatedIds(pair)
  if (repeated.length > 0) throw new Error(`Used twice: ${repeated.join(', ')}`)
  if (left.length < count) throw new Error(`${left.length} PPK_IDs for ${count} rotations`)
  const wrong = await convergence(pair)
  if (wrong !== undefined) throw new Error(wrong)
  const gentle = report.lostAfterMarks.filter(lost => lost <= 1).length / count
  return { report, gentle, worst: Math.max(...report.lostAfterMarks) }
}

/** The same in mode `psk`, where charon names no key: each rotation must leave one SA and one key at both ends. */
export async function rotatePskUnderPing(pair: IpsecPair, count: number): Promise<RotationTrial> {
  const ping = await pair.charons.ping({ intervalMs: 10 })
  for (let round = 0; round < count; round += 1) {
    ping.mark()
    await pair.rotate()
    await ping.flows()
    const [left, right] = [await pair.a.loaded(), await pair.b.loaded()]
    const keyId = pair.a.seen('rotated').at(-1)!.keyId
    const ids = new Set([...left, ...right])
    if (left.length !== 1 || right.length !== 1 || ids.size !== 1) throw new Error(`Loaded: ${[...left, ...right]}`)
    if (!left[0]!.endsWith(`:${keyId}`)) throw new Error(`${left[0]} is loaded, ${keyId} is in use`)
    const sas = [...(await pair.charons.a.sas()), ...(await pair.charons.b.sas())].map(sa => sa.state)
    if (sas.join() !== 'ESTABLISHED,ESTABLISHED') throw new Error(`SAs: ${sas.join()}`)
  }
  const report = await ping.stop()
  const gentle = report.lostAfterMarks.filter(lost => lost <= 1).length / count
  return { report, gentle, worst: Math.max(...report.lostAfterMarks) }
}
