import { type GetKeyOptions, type Key, type Kms, type KmsCallOptions, PoolExhaustedError } from '../../lib/index.ts'
import {
  CONNECTION,
  convergence,
  createIpsecPair,
  type Gateway,
  type IpsecPair,
  keysInTheOpen,
  repeatedIds,
} from './ipsec-pair.ts'
import type { Tamper } from './tampering-channel.ts'
import { until } from './until.ts'

/** Something that goes wrong, again and again. */
export interface Mishap {
  readonly name: string
  /** What is done once, before the agents start. */
  readonly prepare?: (pair: IpsecPair) => void
  /** One time that it goes wrong; leaves everything so that it can come right by itself. */
  readonly strike: (pair: IpsecPair, round: number) => Promise<void>
}

/** Has it go wrong `count` times; rejects if the gateways do not come right each time, on a key that none had before. */
export async function survive({ prepare, strike }: Mishap, count: number): Promise<void> {
  await using pair = await createIpsecPair()
  prepare?.(pair)
  await pair.start()
  for (let round = 0; round < count; round += 1) {
    const before = pair.a.seen('rotated').at(-1)?.keyId
    await strike(pair, round)
    let wrong: string | undefined = 'nothing came of it'
    await until(
      async () => {
        const now = pair.a.seen('rotated').at(-1)?.keyId
        wrong = now === before ? 'no new key' : await convergence(pair).catch(error => String(error))
        return wrong === undefined
      },
      'both ends on one new key',
      { timeoutMs: 40_000 },
    ).catch(error => {
      const failures = [...pair.a.seen('rotation-failed'), ...pair.b.seen('rotation-failed')].slice(-5)
      throw new Error(`round ${round}: ${wrong}; ${JSON.stringify(failures)}`, { cause: error })
    })
  }
  const repeated = await repeatedIds(pair)
  if (repeated.length > 0) throw new Error(`Used twice: ${repeated.join(', ')}`)
  const places = await keysInTheOpen(pair)
  if (places.length > 0) throw new Error(`A key stands in ${places.join(', ')}`)
  // The last word: traffic goes through what is left.
  const ping = await pair.charons.ping()
  await ping.flows()
}

/** A rotation that may fail. */
async function tryRotation(pair: IpsecPair): Promise<void> {
  await pair.a.agent.rotate(CONNECTION).catch(() => {})
}

/** Does `act` in the moment in which the agent of a gateway gives charon a command, in the middle of a rotation. */
async function atCommand(pair: IpsecPair, gateway: Gateway, command: string, act: () => Promise<void>): Promise<void> {
  const { tap } = gateway
  const done = new Promise<void>((resolve, reject) => {
    tap.onCommand = name => {
      if (name !== command) return
      tap.onCommand = () => {}
      act().then(resolve, reject)
    }
  })
  void tryRotation(pair)
  await done
}

const INITIATOR_STEPS = ['load-shared', 'load-conn', 'initiate', 'rekey', 'terminate', 'unload-shared']
const RESPONDER_STEPS = ['list-conns', 'load-shared', 'list-sas', 'unload-shared']

const agentKilled = (end: 'a' | 'b', steps: readonly string[]): Mishap => ({
  name: `the ${end === 'a' ? 'initiator' : 'responder'}'s agent is killed between two steps`,
  strike: async (pair, round) => {
    const gateway = pair[end]
    await atCommand(pair, gateway, steps[round % steps.length]!, async () => {
      const crashed = gateway.crash()
      await Promise.all([crashed, pair.wire.cut()])
    })
    await gateway.start()
    await tryRotation(pair)
  },
})

/** Spoils one message of one end in each round, on a channel of its own. */
const wireFault = (
  what: string,
  spoil: (message: Buffer, earlier: readonly Buffer[]) => readonly Buffer[],
  after: (message: Buffer) => readonly Buffer[] = message => [message],
): Mishap => ({
  name: `a message of an agent is ${what}`,
  strike: async (pair, round) => {
    // The first one of each end opens the channel; five or six belong to a rotation.
    const end = round % 2 === 0 ? 'initiator' : 'responder'
    const target = 1 + (Math.floor(round / 2) % 6)
    const heard: Buffer[] = []
    const tamper: Tamper = (message, at) => {
      heard.push(message)
      if (at === target) return spoil(message, heard)
      return at > target ? after(message) : [message]
    }
    pair.wire.tamper = { [end]: tamper }
    const { dialled } = pair.wire
    await pair.wire.cut()
    await until(() => pair.wire.dialled > dialled, 'the agents to meet')
    pair.wire.tamper = {}
    await tryRotation(pair)
    await tryRotation(pair)
  },
})

/** A KMS that has run dry for as long as it is told to. */
class DryKms implements Kms {
  readonly saeId: string
  dry = false
  readonly #kms: Kms

  constructor(kms: Kms) {
    this.#kms = kms
    this.saeId = kms.saeId
  }

  getStatus(slaveSaeId: string, options?: KmsCallOptions) {
    return this.#kms.getStatus(slaveSaeId, options)
  }

  async getKey(slaveSaeId: string, options?: GetKeyOptions): Promise<Key[]> {
    this.#refuse()
    return await this.#kms.getKey(slaveSaeId, options)
  }

  async getKeyWithIds(masterSaeId: string, keyIds: readonly string[], options?: KmsCallOptions): Promise<Key[]> {
    this.#refuse()
    return await this.#kms.getKeyWithIds(masterSaeId, keyIds, options)
  }

  close(): Promise<void> {
    return this.#kms.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #refuse(): void {
    if (this.dry) throw new PoolExhaustedError('The pool is dry')
  }
}

/** An SA that was up must still be up when a rotation could not be. */
async function requireUp(pair: IpsecPair): Promise<void> {
  for (const gateway of [pair.a, pair.b]) {
    const sas = await gateway.charon.sas()
    if (!sas.some(({ state, ppk }) => state === 'ESTABLISHED' && ppk))
      throw new Error('A failed rotation took the SA down')
  }
}

/** Everything that the agents must survive. */
export const mishaps: readonly Mishap[] = [
  {
    name: "the responder's charon is killed",
    strike: async (pair, round) => {
      const restart = () => pair.charons.b.restart({ kill: true })
      if (round % 2 === 0) await restart()
      else await atCommand(pair, pair.a, 'initiate', restart)
    },
  },
  {
    name: "the initiator's charon is killed",
    strike: async (pair, round) => {
      const restart = () => pair.charons.a.restart({ kill: true })
      if (round % 2 === 0) await restart()
      else await atCommand(pair, pair.b, 'load-shared', restart)
    },
  },
  {
    name: 'an admin loads a configuration of his own',
    strike: async (pair, round) => {
      const charon = round % 2 === 0 ? pair.charons.a : pair.charons.b
      const load = async () => void (await charon.loadAll(''))
      if (round % 4 < 2) {
        await load()
        await pair.rotate()
      } else await atCommand(pair, pair.a, 'initiate', load)
      await tryRotation(pair)
    },
  },
  agentKilled('a', INITIATOR_STEPS),
  agentKilled('b', RESPONDER_STEPS),
  {
    name: 'the agents can not reach each other for a while',
    strike: async pair => {
      pair.wire.down = true
      await pair.wire.cut()
      await tryRotation(pair)
      await requireUp(pair)
      pair.wire.down = false
      await pair.a.agent.rotate(CONNECTION).catch(() => {})
      await until(() => pair.wire.dialled > 0 && pair.a.seen('peer').at(-1)?.connected === true, 'the agents to meet')
      await tryRotation(pair)
    },
  },
  {
    name: 'a KMS has no key',
    prepare: pair => {
      pair.a.kms = new DryKms(pair.a.kms)
      pair.b.kms = new DryKms(pair.b.kms)
    },
    strike: async (pair, round) => {
      const kms = (round % 2 === 0 ? pair.a : pair.b).kms as DryKms
      kms.dry = true
      const error = await pair.a.agent.rotate(CONNECTION).catch((reason: unknown) => reason)
      if ((error as { code?: string }).code !== 'ERR_QKD_POOL_EXHAUSTED') throw new Error(`Without a key: ${error}`)
      await requireUp(pair)
      kms.dry = false
      await pair.a.agent.rotate(CONNECTION)
    },
  },
  wireFault('duplicated', message => [message, message]),
  wireFault('lost', () => []),
  wireFault('replayed', (message, earlier) => [message, earlier[1]!]),
  wireFault('tampered with', message => {
    message[message.length >> 1]! ^= 1
    return [message]
  }),
  overtaken(),
]

/** Holds one message back until the end has sent another, which then comes first. */
function overtaken(): Mishap {
  let held: Buffer | undefined
  return wireFault(
    'overtaken by another',
    message => {
      held = message
      return []
    },
    next => {
      const late = held
      held = undefined
      return late === undefined ? [next] : [next, late]
    },
  )
}
