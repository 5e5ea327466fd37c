/** How long a block takes over relays that pass chunks on, and over relays that announce, on classical channels of 13 Mb/s. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import { createRelayNetwork } from '../../test/helpers/relay-network.ts'
import { median } from '../report.ts'

/** A block of 32,000 bytes takes 20 ms. */
const BYTES_PER_MS = 1600
const HOPS = 5
/** Numbers of the messages that announce a block and end it. */
const [OFFER, DONE] = [5, 9]

/** Median time from the offer of a block to the last word on it, in milliseconds, over so many blocks of one path. */
export async function relayLatencyMs({ announce, blocks }: { announce: boolean; blocks: number }): Promise<number> {
  const sites = Array.from({ length: HOPS + 1 }, (_, at) => `s${at}`)
  const [source, dest] = [sites[0]!, sites.at(-1)!]
  const begun = new Map<string, number>()
  const times: number[] = []
  await using network = await createRelayNetwork({
    links: sites.slice(1).map((site, at) => `${sites[at]!}-${site}` as const),
    pairs: () => ({ announce }),
    limits: { readyBlocks: 1 },
    tap: (channel, from, to) =>
      slowed(channel, message => {
        if (from !== source || to !== dest) return
        const transfer = Buffer.from(message.subarray(1, 9)).toString('hex')
        if (message[0] === OFFER) begun.set(transfer, performance.now())
        if (message[0] === DONE) times.push(performance.now() - begun.get(transfer)!)
      }),
  })
  network.plan({ paths: [sites.join('-')], rateBps: 500_000 })
  // Nodes wait on timers that keep no process alive.
  const alive = setInterval(() => {}, 1000)
  try {
    while (times.length < blocks) {
      const ends = [network.node(source).nextBlock(dest), network.node(dest).nextBlock(source)]
      for (const { secret } of await Promise.all(ends)) secret.wipe()
    }
  } finally {
    clearInterval(alive)
  }
  return median(times)
}

/** A channel on which each byte takes its time. */
function slowed(channel: MessageChannel, onSend: (message: Uint8Array) => void): MessageChannel {
  let last: Promise<unknown> = Promise.resolve()
  return {
    peerId: channel.peerId,
    send: async (message, options) => {
      onSend(message)
      const bytes = Uint8Array.from(message)
      last = last.then(() => sleep(bytes.byteLength / BYTES_PER_MS)).then(() => channel.send(bytes, options))
      await last
    },
    receive: options => channel.receive(options),
    close: options => channel.close(options),
    [Symbol.asyncDispose]: () => channel.close(),
  }
}
