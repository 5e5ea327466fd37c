/**
 * Somebody on the classical channel of a BB84 link between two ends over TCP spoils one message after the other, anywhere:
 * a bit flipped, a message dropped, repeated, or late. `--count` of them (default 400). Never may a number have two keys,
 * each time the link must come back, and in the end all key that authentication took must be accounted for.
 */
import { SeededRandom } from '../../lib/qll/bb84/random.ts'
import { attackedLink, attackOnce, auditAuthentication, MANIPULATIONS } from '../../test/helpers/attacked-link.ts'
import type { SoakOptions } from '../soak.ts'

export async function run({ count = 400, log }: SoakOptions): Promise<void> {
  const names = Object.keys(MANIPULATIONS)
  const random = SeededRandom.of(Date.now())
  await using ends = await attackedLink()
  await ends.matcher.match(3)
  for (let round = 0; round < count; round++) {
    const name = names[round % names.length]!
    await attackOnce(ends, { name, sender: random.below(2) === 0 ? 'alice' : 'bob', random })
    if (round % 20 === 19) log(`${round + 1} of ${count} messages spoilt, ${ends.reports.length} blocks on record`)
  }
  ends.relay.tamper(undefined)
  await ends.matcher.match(40)
  auditAuthentication(ends)
  const keys = ends.reports.filter(({ outcome }) => outcome === 'key').length
  log(`${keys} blocks with key at either end, ${JSON.stringify(ends.alice.authentication)}`)
}
