import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import {
  checkKmeAccess,
  KME_ACCESS_OPTIONAL,
  type KmeAccess,
  type KmeAccessFile,
  kmeAccessSchemas,
} from './kme-access.ts'
import { etsiId, list, objectSchema } from './schema-parts.ts'
import { saeIdSchema } from './site-config.ts'

/** How one host (SAE) reaches its own site's KME. */
export interface SaeProfile extends KmeAccess {
  readonly saeId: string
  /** KMEs for some of the hosts that it shares keys with; `kme` is for all others. Default none. */
  readonly peerKmes?: readonly PeerKme[]
}

/** The KME of this site that serves keys with some other hosts: vendors often have one for each far site. */
export interface PeerKme extends KmeAccess {
  /** The SAEs at the other end. */
  readonly saes: readonly string[]
}

/** The same as it stands in a file: `tls` has paths, relative to the file; a KME without its own has the profile's. */
export interface SaeProfileFile extends KmeAccessFile {
  readonly $schema?: string
  readonly saeId: string
  readonly peerKmes?: readonly (Omit<PeerKme, 'tls'> & Partial<Pick<KmeAccessFile, 'tls'>>)[]
}

/** JSON Schema (draft 2020-12) of a host's profile; `tls` has paths there, relative to the file. */
export const saeProfileSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit SAE profile',
  ...objectSchema(
    'How a host reaches its KME',
    {
      $schema: { type: 'string', description: 'Where this schema is published' },
      saeId: saeIdSchema,
      ...kmeAccessSchemas,
      peerKmes: list(
        'KMEs of this site for some of the hosts at the other end; kme is for all others',
        objectSchema(
          'A KME for some hosts',
          { saes: list('SAE IDs at the other end', etsiId('SAE ID'), 10_000), ...kmeAccessSchemas },
          [...KME_ACCESS_OPTIONAL, 'tls'],
        ),
        256,
      ),
    },
    ['$schema', ...KME_ACCESS_OPTIONAL, 'peerKmes'],
  ),
}

/** What no schema can say: URLs that are none, hosts that stand in two places. */
export function checkSaeProfile(profile: SaeProfileFile): SchemaFault[] {
  const faults = checkKmeAccess(profile)
  const places = new Map<string, string>()
  for (const [index, peer] of (profile.peerKmes ?? []).entries()) {
    faults.push(...checkKmeAccess(peer, `/peerKmes/${index}`))
    for (const [at, saeId] of peer.saes.entries()) {
      const path = `/peerKmes/${index}/saes/${at}`
      const first = saeId === profile.saeId ? '/saeId' : places.get(saeId)
      if (first === undefined) places.set(saeId, path)
      else faults.push({ path, message: `"${saeId}" stands at ${first} already; each has one place` })
    }
  }
  return faults
}
