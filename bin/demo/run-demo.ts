import { setTimeout as delay } from 'node:timers/promises'
import { type Kms, PoolExhaustedError, QkdError, type TelemetryEvent } from '../../lib/index.ts'
import type { DemoLink } from './demo-links.ts'
import { type DemoSites, LINK_ID, openDemoSites, SITES, TARGET_BLOCKS } from './demo-sites.ts'
import { type FileTransfer, transferFile } from './file-transfer.ts'
import type { SourceFile } from './source-file.ts'

/** Where the demonstration tells what happens, as it happens. */
export interface Narrator {
  begin(file: SourceFile, link: DemoLink): void
  sitesOpen(sites: DemoSites): void
  poolFilling(cells: number, wanted: number): void
  poolFilled(cells: number, ms: number): void
  keyEvent(event: Extract<TelemetryEvent, { type: 'key-issued' | 'key-retrieved' }>): void
  transferred(transfer: FileTransfer): void
  /** Everything is closed. */
  end(report: DemoReport): void
  /** It will not come to an end. */
  stopped(): void
}

/** The whole of a demonstration, as `--json` prints it. */
export interface DemoReport {
  readonly sites: readonly { siteId: string; kmeId: string; saeId: string; etsi014: string }[]
  readonly link: {
    readonly linkId: string
    readonly kind: string
    /** What its key rests on: `quantum`, `computational` or `none`. */
    readonly secrecy: string
    readonly simulated: boolean
    /** Its devices, where it has any. */
    readonly preset: string | undefined
    readonly distanceKm: number | undefined
    /** Secret key that the link yields here, in bits a second; the work of both ends included. */
    readonly rateBps: number
    /** Quantum bit error rate of its last block. */
    readonly qber: number | undefined
  }
  readonly pool: { readonly cells: number; readonly filledMs: number }
  readonly file: { readonly path: string; readonly sizeBytes: number; readonly identical: boolean }
  readonly transfer: FileTransfer
  /** The code with which Bob's KMS refuses the same key a second time; undefined if it gave it out. */
  readonly secondRetrieval: string | undefined
  readonly durationMs: number
}

/** Cells that can be issued out of one block; two of its thousand authenticate a later one. */
const CELLS_A_BLOCK = 998
/** What to wait for before the first key is taken: a pool that is all but full. */
const WANTED_CELLS = (TARGET_BLOCKS - 1) * CELLS_A_BLOCK
const FILL_DEADLINE_MS = 30_000
const POLL_MS = 50

/** Runs the whole story once and closes everything, whatever comes; `narrator.end` hears of it when all is closed. */
export async function runDemo(
  { file, link }: { file: SourceFile; link: DemoLink },
  narrator: Narrator,
  signal: AbortSignal,
): Promise<DemoReport> {
  const startedMs = performance.now()
  narrator.begin(file, link)
  const sites = await openDemoSites(link, { signal })
  try {
    const outcome = await act({ file, link, sites, narrator, signal })
    await sites.close()
    const report = { ...outcome, durationMs: Math.round(performance.now() - startedMs) }
    narrator.end(report)
    return report
  } catch (error) {
    narrator.stopped()
    throw error
  } finally {
    await sites.close()
  }
}

interface Scene {
  readonly file: SourceFile
  readonly link: DemoLink
  readonly sites: DemoSites
  readonly narrator: Narrator
  readonly signal: AbortSignal
}

async function act({ file, link, sites, narrator, signal }: Scene): Promise<Omit<DemoReport, 'durationMs'>> {
  narrator.sitesOpen(sites)
  const pool = await fillPool(sites, narrator, signal)
  for (const site of [sites.a, sites.b]) {
    site.telemetry.subscribe(event => {
      if (event.type === 'key-issued' || event.type === 'key-retrieved') narrator.keyEvent(event)
    })
  }
  const transfer = await transferFile({ path: file.path, alice: sites.alice, bob: sites.bob, signal })
  narrator.transferred(transfer)
  const identical = transfer.sentSha256 === transfer.receivedSha256 && transfer.receivedBytes === file.sizeBytes
  return {
    sites: [
      { ...SITES.a, etsi014: sites.a.address.etsi014.url },
      { ...SITES.b, etsi014: sites.b.address.etsi014.url },
    ],
    link: linkOf(link, sites),
    pool,
    file: { ...file, identical },
    transfer,
    secondRetrieval: await retrieveAgain(sites.bob, transfer.session.keyId, signal),
  }
}

function linkOf(link: DemoLink, { a }: DemoSites): DemoReport['link'] {
  const { kind, secrecy, simulated, rateBps, qber } = a.status().links[0]!
  const { preset, distanceKm } = { preset: undefined, distanceKm: undefined, ...link }
  return { linkId: LINK_ID, kind, secrecy, simulated, preset, distanceKm, rateBps, qber }
}

async function fillPool({ a, b }: DemoSites, narrator: Narrator, signal: AbortSignal): Promise<DemoReport['pool']> {
  const startedMs = performance.now()
  for (;;) {
    // Each side issues from its own half; Alice needs one of site A's.
    const [own, other] = [a, b].map(site => site.status().pools[0]?.issuableCells ?? 0) as [number, number]
    const cells = own + other
    const ms = Math.round(performance.now() - startedMs)
    if (own > 0 && cells >= WANTED_CELLS) {
      narrator.poolFilled(cells, ms)
      return { cells, filledMs: ms }
    }
    if (ms > FILL_DEADLINE_MS) throw new PoolExhaustedError(`The link gave no key within ${FILL_DEADLINE_MS} ms`)
    narrator.poolFilling(cells, WANTED_CELLS)
    await delay(POLL_MS, undefined, { signal })
  }
}

/** Tries to get Bob's key once more; the code of the refusal. */
async function retrieveAgain(bob: Kms, keyId: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const keys = await bob.getKeyWithIds(SITES.a.saeId, [keyId], { signal })
    for (const { secret } of keys) secret.wipe()
    return undefined
  } catch (error) {
    if (error instanceof QkdError) return error.code
    throw error
  }
}
