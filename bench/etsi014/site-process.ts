/** One whole site behind its ETSI GS QKD 014 server: store on disk, policy and audit log as in operation. */
import { createSite, type ServedSite, type SiteConfig } from '../../lib/index.ts'
import { answer } from '../tls/bench-process.ts'

/** Told once, at the start. */
export interface SiteSetup {
  readonly site: SiteConfig
}

let site: ServedSite | undefined

answer(
  async (message: SiteSetup | { readonly stored: true }) => {
    if ('stored' in message) return { cells: site!.status().pools[0]!.issuableCells }
    site = await createSite(message.site)
    return site.address
  },
  async () => site?.close(),
)
