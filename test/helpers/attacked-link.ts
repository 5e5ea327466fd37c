import assert from 'node:assert/strict'
import { SecretKey } from '../../lib/key/secret-key.ts'
import type { Bb84Link } from '../../lib/qll/bb84/link/bb84-link.ts'
import { createBb84LinkConnector, createBb84LinkListener } from '../../lib/qll/bb84/link/bb84-link-tcp.ts'
import type { SeededRandom } from '../../lib/qll/bb84/random.ts'
import type { BlockReport } from '../../lib/qll/bb84/session/report.ts'
import { SharedKeyTranscripts } from '../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { BlockMatcher } from '../compliance/block-matcher.ts'
import { SMALL_LINK } from './bb84-link.ts'
import { createFrameRelay, type FrameTamper, type Sender } from './frame-relay.ts'

/** Two ends over TCP with somebody on the line; the matcher fails at the first number that has two keys. */
export async function attackedLink({ record = false, bob: atOnce = true, psk = SecretKey.random(32) } = {}) {
  const bootstrap = () => new SharedKeyTranscripts(psk)
  const telemetry = new TelemetryHub()
  const reports: (BlockReport & { end: Sender })[] = []
  // An end that waits for what somebody has taken away gives up soon.
  const common = { ...SMALL_LINK, bootstrap, blockTimeoutMs: 1000, backOff: { minMs: 2, maxMs: 10 } }
  const { link: alice, port } = await createBb84LinkListener({
    ...common,
    localSiteId: 'alice',
    remoteSiteId: 'bob',
    port: 0,
    telemetry,
    onBlock: report => reports.push({ ...report, end: 'alice' }),
  })
  const relay = await createFrameRelay(() => port, { record })
  const startBob = () =>
    createBb84LinkConnector({
      ...common,
      localSiteId: 'bob',
      remoteSiteId: 'alice',
      port: relay.port,
      onBlock: report => reports.push({ ...report, end: 'bob' }),
    })
  let bob = atOnce ? startBob() : undefined
  const matcher = new BlockMatcher([options => alice.nextBlock(options), options => bob!.nextBlock(options)])
  return {
    alice,
    get bob(): Bb84Link {
      return bob!
    },
    /** Starts Bob's end, where it was not to begin at once. */
    startBob(): void {
      bob ??= startBob()
    },
    /** Alice's door, past the relay. */
    port,
    relay,
    matcher,
    reports,
    telemetry,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice.close(), bob?.close()])
      await relay.close()
    },
  }
}

/** The `nth` message of a sender in the sessions from now on, whatever it is, is spoilt once. */
export const MANIPULATIONS: Record<string, (sender: Sender, nth: number, random: SeededRandom) => FrameTamper> = {
  'a flipped bit': (sender, nth, random) => (message, from, at) => {
    if (from === sender && at === nth) message[random.below(message.byteLength)]! ^= 1 << random.below(8)
    return [message]
  },
  'a dropped message': (sender, nth) => (message, from, at) => (from === sender && at === nth ? [] : [message]),
  'a repeated message': (sender, nth) => (message, from, at) =>
    from === sender && at === nth ? [message, message] : [message],
  'a message of another length': (sender, nth, random) => (message, from, at) => {
    if (from !== sender || at !== nth) return [message]
    const size = random.below(2 * message.byteLength) + 1
    return [Buffer.concat([message, Buffer.alloc(message.byteLength, random.below(256))]).subarray(0, size)]
  },
  'a message of noise behind its type': (sender, nth, random) => (message, from, at) => {
    if (from === sender && at === nth) for (let i = 1; i < message.byteLength; i++) message[i] = random.below(256)
    return [message]
  },
  'a late message': (sender, nth) => {
    let held: Buffer | undefined
    return (message, from, at) => {
      if (from === sender && at === nth) {
        held = message
        return []
      }
      if (from !== sender || held === undefined) return [message]
      const out = [message, held]
      held = undefined
      return out
    }
  },
}

/** Messages of a block are some 60; a place beyond them hits a later one. */
const PLACES = 90

/** Spoils one message somewhere, and takes key until the link has come back from it. */
export async function attackOnce(
  { relay, matcher }: Awaited<ReturnType<typeof attackedLink>>,
  { name, sender, random }: { name: string; sender: Sender; random: SeededRandom },
): Promise<void> {
  relay.tamper(MANIPULATIONS[name]!(sender, random.below(PLACES), random))
  await matcher.match(40)
  await matcher.realign()
}

/** Fails unless all key that authentication took is accounted for. */
export function auditAuthentication({ alice, bob }: Awaited<ReturnType<typeof attackedLink>>): void {
  for (const { authentication } of [alice, bob]) {
    const { takenBits, spentBits, discardedBits, heldBits } = authentication
    assert.equal(takenBits, spentBits + discardedBits + heldBits)
    assert.ok(spentBits > 0)
  }
}
