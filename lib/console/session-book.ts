import type { TelemetryEvent } from '../interface/telemetry.ts'
import type { SessionRow, SessionsSection } from './sections.ts'

/** Sessions that are kept; of more, those that were keyed last. */
const MOST_SESSIONS = 2_000
/** Rows that go to the page. */
const MOST_ROWS = 200

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What hosts say of the sessions that stand on their keys. */
export class SessionBook {
  readonly #sessions = new Map<string, Mutable<SessionRow>>()

  /** Takes one event of the stream; those about no session do nothing. */
  take(event: TelemetryEvent, atMs: number): void {
    switch (event.type) {
      case 'key-in-use': {
        const { keyId, saeId, peerSaeId } = event
        // The agent tells once both ends stand on the key.
        const proof = 'agent’s receipt'
        this.#keyed({ ...sessionOf(event), saeId, peerSaeId, keyId, proof, keyedAtMs: event.atMs })
        return
      }
      case 'key-retired': {
        const name = nameOf({ ...sessionOf(event), saeId: event.saeId })
        if (this.#sessions.get(name)?.keyId === event.keyId) this.#sessions.delete(name)
        return
      }
      case 'tls-session': {
        // The socket itself saw the handshake end under the key; when the session ends, nobody says.
        const { masterSaeId, slaveSaeId, keyId, level } = event
        const proof = 'handshake seen'
        const parties = { saeId: slaveSaeId, peerSaeId: masterSaeId, session: `${masterSaeId} – ${slaveSaeId}` }
        this.#keyed({ integration: 'tls', ...parties, keyId, proof, keyedAtMs: atMs, ...(level && { level }) })
        return
      }
      case 'rotation': {
        const { integration, peer, keyId, outcome, reason } = event
        const name = nameOf({ integration, session: peer, saeId: '' })
        const known = this.#sessions.get(name)
        if (outcome === 'in-use') {
          const proof = 'both ends agreed'
          this.#keyed({ integration, session: peer, saeId: '', peerSaeId: peer, keyId, proof, keyedAtMs: atMs })
        } else if (known === undefined) return
        else if (outcome === 'failed') known.failure = reason ?? 'no reason was given'
        else if (known.keyId === keyId) this.#sessions.delete(name)
        return
      }
      default:
    }
  }

  /** For the page: the oldest keys first, since those are what a look is for. */
  section(): SessionsSection {
    const all = [...this.#sessions.values()]
    const integrations = [...new Set(all.map(({ integration }) => integration))].sort()
    return {
      rows: all.toSorted((p, q) => p.keyedAtMs - q.keyedAtMs).slice(0, MOST_ROWS),
      counts: integrations.map(integration => {
        const own = all.filter(session => session.integration === integration)
        const proven = own.filter(({ proof }) => proof !== undefined).length
        return { integration, inUse: own.length, proven, failing: own.filter(({ failure }) => failure).length }
      }),
    }
  }

  #keyed(session: SessionRow): void {
    const name = nameOf(session)
    // Last in the order of the map, so that the first is the one to go.
    this.#sessions.delete(name)
    this.#sessions.set(name, session)
    if (this.#sessions.size > MOST_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!)
  }
}

function nameOf({ integration, session, saeId }: Pick<SessionRow, 'integration' | 'session' | 'saeId'>): string {
  return JSON.stringify([integration, session, saeId])
}

/** What a receipt says of the session: the integration, and behind it what the host calls the session, if it does. */
function sessionOf({ use, saeId, peerSaeId }: { use: string; saeId: string; peerSaeId: string }) {
  const [, integration = use, session = `${saeId} – ${peerSaeId}`] = /^([^\s:]+)[\s:]+(.+)$/.exec(use) ?? []
  return { integration, session }
}
