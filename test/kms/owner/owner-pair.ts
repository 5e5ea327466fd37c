import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import type { KmsDirectory } from '../../../lib/interface/kms.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import { OwnedDirectory } from '../../../lib/kms/owner/owned-directory.ts'
import { type ServeOwnerOptions, serveOwner } from '../../../lib/kms/owner/serve-owner.ts'

/** A directory behind the protocol, and what ended its owner's side. */
export interface OwnedPair extends AsyncDisposable {
  readonly directory: OwnedDirectory
  readonly served: Promise<unknown>
  /** Cuts the connection, as a crash of the caller would. */
  cut(): Promise<void>
}

/** Puts the protocol between `owner` and its hosts, over a channel in memory or the one given. */
export async function ownedBy(
  owner: KmsDirectory,
  options: { saeIds: readonly string[]; channels?: [MessageChannel, MessageChannel] } & Partial<ServeOwnerOptions>,
): Promise<OwnedPair> {
  const { saeIds, channels, ...serve } = options
  const [ours, theirs] = channels ?? createMemoryChannelPair(['owner', 'worker'])
  const served = serveOwner(owner, ours, { siteId: 'site', peerIds: [ours.peerId], ...serve }).catch(error => error)
  const directory = new OwnedDirectory({
    siteId: 'site',
    channel: theirs,
    isRegistered: saeId => saeIds.includes(saeId),
  })
  await directory.whenConnected()
  return {
    directory,
    served,
    cut: () => theirs.close(),
    [Symbol.asyncDispose]: async () => {
      await directory.close()
      await served
    },
  }
}
