import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SaeProfile } from '../../lib/config/sae-profile.ts'
import { createRemoteKms, type Kms } from '../../lib/index.ts'
import { createForeignKmePair } from './foreign-kme.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority, type TestCredentials } from './test-certificates.ts'
import { createServedTestSites, createTestSites } from './test-sites.ts'

/** The KMSs of two hosts at two sites: alice at site-a, bob at site-b. */
export interface KmsPair extends AsyncDisposable {
  readonly alice: Kms
  readonly bob: Kms
  /** Paths of the SAE profiles that the command line takes; undefined where the KMS is in this process alone. */
  readonly profiles: { readonly alice: string; readonly bob: string } | undefined
}

/** One way to come by keys. What a test does with the pair must not depend on which it is. */
export interface KmsBackend {
  readonly name: 'embedded' | 'remote' | 'foreign'
  create(): Promise<KmsPair>
}

/** Every way to come by keys: in process, our own KME over mutual TLS, a KME of somebody else's make. */
export const kmsBackends: readonly KmsBackend[] = [
  { name: 'embedded', create: createEmbedded },
  { name: 'remote', create: createRemote },
  { name: 'foreign', create: createForeign },
]

async function createEmbedded(): Promise<KmsPair> {
  const sites = await createTestSites()
  const { alice, bob } = sites
  return { alice, bob, profiles: undefined, [Symbol.asyncDispose]: () => sites[Symbol.asyncDispose]() }
}

async function createRemote(): Promise<KmsPair> {
  const sites = await createServedTestSites()
  const host = (saeId: string, site: 0 | 1) => ({
    saeId,
    kme: sites.sites[site].address.etsi014.url,
    kmeId: sites.configs[site].kmeId,
    tls: sites.credentials(saeId),
  })
  return createHosts(host('alice', 0), host('bob', 1), sites)
}

async function createForeign(): Promise<KmsPair> {
  const authority = createTestAuthority()
  const credentials = [authority.issue('NULLA-QKD-7F-A'), authority.issue('NULLA-QKD-7F-B')] as const
  const pair = await createForeignKmePair(credentials, [['alice'], ['bob']])
  const host = (saeId: string, site: 0 | 1) => ({
    saeId,
    kme: pair.kmes[site].url,
    kmeId: pair.kmes[site].kmeId,
    tls: authority.issue(saeId),
  })
  return createHosts(host('alice', 0), host('bob', 1), pair)
}

/** A host: its profile with the PEM text in place of paths. */
interface Host extends Omit<SaeProfile, 'tls'> {
  readonly tls: TestCredentials
}

async function createHosts(alice: Host, bob: Host, behind: AsyncDisposable): Promise<KmsPair> {
  const dir = await createTempDir()
  const open = ({ saeId, kme, kmeId, tls }: Host) =>
    createRemoteKms({ saeId, baseUrl: kme, ...(kmeId !== undefined && { expectedKmeId: kmeId }), ...tls })
  const kmses = [open(alice), open(bob)] as const
  return {
    alice: kmses[0],
    bob: kmses[1],
    profiles: { alice: await writeProfile(dir.path, alice), bob: await writeProfile(dir.path, bob) },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(kmses.map(kms => kms.close()))
      await behind[Symbol.asyncDispose]()
      await dir[Symbol.asyncDispose]()
    },
  }
}

async function writeProfile(dir: string, { tls, ...host }: Host): Promise<string> {
  const files = { cert: `${host.saeId}.crt`, key: `${host.saeId}.key`, ca: `${host.saeId}-ca.crt` }
  for (const part of ['cert', 'key', 'ca'] as const) {
    await writeFile(join(dir, files[part]), tls[part], { mode: 0o600 })
  }
  const profile: SaeProfile = { ...host, tls: files }
  const path = join(dir, `${host.saeId}.json`)
  await writeFile(path, JSON.stringify(profile))
  return path
}
