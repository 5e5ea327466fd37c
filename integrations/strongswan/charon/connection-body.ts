import type { IpsecConnectionConfig } from '../agent-config.ts'
import type { ViciSection } from '../vici/message.ts'

/** What differs from one rotation to the next. */
export interface ConnectionVariant {
  /** The PPK_ID that the connection insists on; undefined for any, or for no PPK. */
  readonly ppkId?: string
  /**
   * Makes it another configuration than that of the rotation before, where no PPK_ID does: charon would put a child of the
   * same configuration into the IKE_SA that is up, and fail because it has that child.
   */
  readonly generation?: number
}

/** Default of charon for the margin after which a connection that could not be rekeyed is closed, in seconds: a tenth of 4 h. */
const OVER_SECONDS = 1_440

/**
 * The connection as `load-conn` takes it. Nothing in it starts by itself: replacing a connection with `start_action`
 * `start` would take its SAs down.
 */
export function connectionBody(config: IpsecConnectionConfig, { ppkId, generation }: ConnectionVariant): ViciSection {
  const { mode, auth, local, remote, proposals, children, settings } = config
  const variant = generation === undefined ? {} : { over_time: `${OVER_SECONDS + (generation % 2)}s` }
  return {
    mobike: 'no',
    dpd_delay: '10s',
    ...settings,
    ...variant,
    ...(children.length === 0 ? { childless: 'force' } : {}),
    version: '2',
    local_addrs: local.addresses,
    remote_addrs: remote.addresses,
    proposals,
    ...(mode === 'psk' ? {} : { ppk_required: 'yes', ppk_id: ppkId }),
    local: { auth, id: local.id },
    remote: { auth, id: remote.id },
    children: Object.fromEntries(
      children.map(child => [
        child.name,
        {
          ...child.settings,
          local_ts: child.localTs,
          remote_ts: child.remoteTs,
          esp_proposals: child.espProposals,
          start_action: 'none',
        },
      ]),
    ),
  }
}
