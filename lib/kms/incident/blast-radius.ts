import type { AuditEntry, KeyDerivation } from '../../interface/audit.ts'
import type { IncidentSelector } from '../../interface/incident.ts'
import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'
import type { AuditLine } from '../audit/audit-line.ts'
import { describeSelector, type Exposure, exposureOf, goesByBlock, inRange, namesPair } from './selector.ts'

/** A host that has a key, or may fetch it. */
export interface KeyHolder {
  readonly saeId: string
  /** When it was given the key; undefined where only its own site's log could say so. */
  readonly sinceMs?: number
  /** By its own word. */
  readonly inUseSinceMs?: number
  readonly retiredAtMs?: number
  readonly use?: string
}

/** A key that an incident is about. */
export interface AffectedKey {
  readonly keyId: string
  /** False where who has what the incident names has the key. */
  readonly isProtected: boolean
  /** Why it is protected all the same: other shares, or a post-quantum secret that no link or relay carries. */
  readonly protectedBy?: 'split' | 'hybrid' | 'post-quantum'
  readonly level: SecurityLevel | undefined
  readonly trustClass: TrustClass | undefined
  readonly derivation: KeyDerivation | undefined
  readonly blocks: readonly string[]
  readonly issuedAtMs?: number
  readonly holders: readonly KeyHolder[]
}

/** A block that an incident is about, as the last line on it has it. */
export interface AffectedBlock {
  readonly block: string
  readonly siteId: string
  readonly peerSiteId: string
  readonly exposure: Exclude<Exposure, 'none'>
  /** `made`, `received`, `ready`, `active`: some of its key may not be issued yet. */
  readonly state: string
}

/** How far an incident reaches, by the audit logs that were read. */
export interface BlastRadius {
  readonly selector: IncidentSelector
  readonly about: string
  /** Sites whose logs were read: what only another site knows is not in here. */
  readonly siteIds: readonly string[]
  readonly keys: readonly AffectedKey[]
  readonly blocks: readonly AffectedBlock[]
  /** Keys that meet the selector's SAEs and time, and of whose blocks no log says how they came: they may be affected. */
  readonly unknownKeyIds: readonly string[]
}

interface Holder {
  saeId: string
  sinceMs?: number
  inUseSinceMs?: number
  retiredAtMs?: number
  use?: string
}
interface KeyDraft extends Omit<AffectedKey, 'holders' | 'blocks' | 'issuedAtMs' | 'keyId'> {
  issuedAtMs?: number
  readonly blocks: Set<string>
  readonly holders: Map<string, Holder>
}

/** States of a block that is over. */
const OVER = new Set(['drained', 'dropped', 'reset'])
const STATES = new Set(['made', 'received', 'ready', 'active'])

/** Finds out how far an incident reaches: reads audit logs line by line, each from its beginning, those of one site or of several. */
export class BlastRadiusSearch {
  readonly #selector: IncidentSelector
  readonly #siteIds = new Set<string>()
  /** Every block of which a line says how it came. Of what is not affected nothing else is kept. */
  readonly #known = new Set<string>()
  readonly #blocks = new Map<string, AffectedBlock>()
  readonly #keys = new Map<string, KeyDraft>()
  readonly #unknown = new Set<string>()

  constructor(selector: IncidentSelector) {
    this.#selector = selector
  }

  /** Takes the next line of a log. */
  add(line: AuditLine): void {
    this.#siteIds.add(line.siteId)
    if (line.event === 'block') this.#addBlock(line)
    else if (line.event === 'receipt') this.#addReceipt(line)
    else if (line.keyIds !== undefined && line.outcome === 'allowed') this.#addKeys(line)
  }

  result(): BlastRadius {
    const keys = [...this.#keys].map(([keyId, { blocks, holders, ...key }]): AffectedKey => {
      return { keyId, ...key, blocks: [...blocks], holders: [...holders.values()] }
    })
    return {
      selector: this.#selector,
      about: describeSelector(this.#selector),
      siteIds: [...this.#siteIds].sort(),
      keys: keys.sort((a, b) => Number(a.isProtected) - Number(b.isProtected) || (a.keyId < b.keyId ? -1 : 1)),
      blocks: goesByBlock(this.#selector) ? [...this.#blocks.values()] : [],
      unknownKeyIds: [...this.#unknown].filter(keyId => !this.#keys.has(keyId)).sort(),
    }
  }

  #addBlock(line: AuditLine): void {
    const { siteId, peerSiteId, outcome: state, block } = line
    if (peerSiteId === undefined) return
    if (block === undefined) {
      // A pool that began anew: nothing of it is left to issue.
      for (const [name, known] of this.#blocks)
        if (known.siteId === siteId && known.peerSiteId === peerSiteId) this.#blocks.set(name, { ...known, state })
      return
    }
    const name = nameOf(siteId, peerSiteId, block)
    if (STATES.has(state) && (line.way !== undefined || state === 'received') && !this.#known.has(name)) {
      this.#known.add(name)
      const exposure = this.#isOfPool(line) ? exposureOf(this.#selector, line.way ?? nowhere(line)) : 'none'
      if (exposure !== 'none') this.#blocks.set(name, { block, siteId, peerSiteId, exposure, state })
      return
    }
    const known = this.#blocks.get(name)
    if (known !== undefined && !OVER.has(known.state)) this.#blocks.set(name, { ...known, state })
  }

  #addKeys(line: AuditLine): void {
    const { keyIds = [], blocks = [], masterSaeId = '', slaveSaeId = '', additionalSlaveSaeIds = [] } = line
    const atMs = Date.parse(line.at)
    const saeIds = [...new Set([masterSaeId, slaveSaeId, ...additionalSlaveSaeIds])]
    if (!this.#isOfPool(line)) return
    for (const [at, keyId] of keyIds.entries()) {
      const known = this.#keys.get(keyId)
      if (known === undefined && !namesPair(this.#selector, saeIds)) continue
      const block = blocks.length === 1 ? blocks[0] : blocks[at]
      const exposure = this.#exposureOf(line, block, atMs)
      if (exposure === undefined) this.#unknown.add(keyId)
      if (known === undefined && (exposure === undefined || exposure === 'none')) continue
      this.#enter(keyId, { line, block, exposure: exposure ?? 'none', atMs, saeIds })
    }
  }

  /** How much of a key the selector's link and relay saw; undefined where no line says how its block came. */
  #exposureOf(line: AuditLine, block: string | undefined, atMs: number): Exposure | undefined {
    const { siteId, peerSiteId = '', via = [] } = line
    if (!goesByBlock(this.#selector)) return inRange(this.#selector, atMs, atMs) ? 'whole' : 'none'
    const places = [
      ...(block === undefined ? [] : [nameOf(siteId, peerSiteId, block)]),
      ...via.flatMap(leg => leg.blocks.map(each => nameOf(siteId, leg.peerSiteId, each))),
    ]
    const exposures = places.map(place => this.#blocks.get(place)?.exposure ?? 'none')
    if (exposures.includes('whole')) return 'whole'
    if (exposures.includes('shares')) return 'shares'
    return places.length > 0 && places.every(place => this.#known.has(place)) ? 'none' : undefined
  }

  #enter(
    keyId: string,
    {
      line,
      block,
      exposure,
      atMs,
      saeIds,
    }: { line: AuditLine; block: string | undefined; exposure: Exposure; atMs: number; saeIds: readonly string[] },
  ): void {
    const known = this.#keys.get(keyId)
    const key: KeyDraft = known ?? {
      ...this.#protectionOf(line, exposure),
      level: line.level,
      trustClass: line.trustClass,
      derivation: line.derivation,
      blocks: new Set(),
      holders: new Map(saeIds.map(saeId => [saeId, { saeId }])),
    }
    // The worse of what two logs say of it: one of them may know of a site more on its way.
    const worse = known !== undefined && exposure === 'whole' ? { ...key, ...this.#protectionOf(line, exposure) } : key
    if (block !== undefined) worse.blocks.add(block)
    if (line.event === 'issue') worse.issuedAtMs = atMs
    const holder = line.event === 'issue' ? line.masterSaeId : line.event === 'deliver' ? line.slaveSaeId : undefined
    if (holder !== undefined) worse.holders.set(holder, { saeId: holder, ...worse.holders.get(holder), sinceMs: atMs })
    this.#keys.set(keyId, worse)
  }

  /** A host's own store, or a KMS, has the key whatever it was made of; a link or relay has the cells and nothing else. */
  #protectionOf({ level }: AuditEntry, exposure: Exposure): Pick<AffectedKey, 'isProtected' | 'protectedBy'> {
    const { link, relay } = this.#selector
    if (link === undefined && relay === undefined) return { isProtected: false }
    if (exposure === 'shares') return { isProtected: true, protectedBy: 'split' }
    if (level === 'hybrid' || level === 'post-quantum') return { isProtected: true, protectedBy: level }
    return { isProtected: false }
  }

  #addReceipt({ keyIds = [], outcome, receipt }: AuditLine): void {
    if (receipt === undefined) return
    const { saeId, atMs, use } = receipt
    for (const keyId of keyIds) {
      const holders = this.#keys.get(keyId)?.holders
      const holder = holders?.get(saeId)
      if (holders === undefined || holder === undefined) continue
      holders.set(saeId, { ...holder, use, ...(outcome === 'in-use' ? { inUseSinceMs: atMs } : { retiredAtMs: atMs }) })
    }
  }

  #isOfPool({ siteId, peerSiteId }: AuditEntry & { siteId: string }): boolean {
    const { pool } = this.#selector
    return pool === undefined || pool === peerSiteId || pool === siteId
  }
}

function nameOf(siteId: string, peerSiteId: string, block: string): string {
  return `${siteId}\n${peerSiteId}\n${block}`
}

/** A block that is made of the pair secret alone came at the time of its line. */
function nowhere({ at }: AuditLine) {
  const atMs = Date.parse(at)
  return { shares: [], links: [], sinceMs: atMs, untilMs: atMs }
}
