import { createRemoteKms } from '../../../lib/client/remote-kms.ts'
import type { Kms } from '../../../lib/interface/kms.ts'
import { createForeignKmePair, type ForeignKmePair } from '../../helpers/foreign-kme.ts'
import { createTestAuthority, type TestCredentials } from '../../helpers/test-certificates.ts'

/** The SAEs as which the two ends of a link draw and fetch. */
export const LINK_SAES = ['qll-a', 'qll-b'] as const

/** A pair of KMEs of somebody else's make, and the ways of a link's two ends to them. */
export interface DevicePair extends AsyncDisposable {
  readonly pair: ForeignKmePair
  readonly kmes: readonly [DeviceKme, DeviceKme]
}

/** One of them. */
export interface DeviceKme {
  readonly kms: Kms
  readonly peerSaeId: string
  readonly url: string
  readonly kmeId: string
  readonly tls: TestCredentials
}

/** Starts two KMEs for the ends of a link. */
export async function createDevicePair(): Promise<DevicePair> {
  const authority = createTestAuthority()
  const credentials = [authority.issue('NULLA-QKD-7F-A'), authority.issue('NULLA-QKD-7F-B')] as const
  const pair = await createForeignKmePair(credentials, [[LINK_SAES[0]], [LINK_SAES[1]]])
  const kmes = ([0, 1] as const).map(site => {
    const { url, kmeId } = pair.kmes[site]
    const tls = authority.issue(LINK_SAES[site])
    const kms = createRemoteKms({ saeId: LINK_SAES[site], baseUrl: url, expectedKmeId: kmeId, ...tls })
    return { kms, peerSaeId: LINK_SAES[1 - site]!, url, kmeId, tls }
  })
  return {
    pair,
    kmes: [kmes[0]!, kmes[1]!],
    [Symbol.asyncDispose]: async () => {
      for (const { kms } of kmes) await kms.close()
      await pair[Symbol.asyncDispose]()
    },
  }
}
