/**
 * Kerberos keyed from the KMS: key versions of cross-realm and service principals that two sites agree on, put before an
 * MIT KDC or into keytabs, and the formats this takes.
 *
 * @packageDocumentation
 */
export {
  checksum,
  checksumType,
  decrypt,
  type EncryptOptions,
  encrypt,
  prf,
  type StringToKeyOptions,
  stringToKey,
} from './crypto/encryption.ts'
export { ENCTYPES, type Enctype, type EnctypeProfile, enctypeProfile, type KerberosKey } from './enctype.ts'
export { createKeyServer, type KeyServer, type KeyServerCounters, type KeyServerOptions } from './key-server.ts'
export {
  type Announcement,
  type KvnoEntry,
  type KvnoLookup,
  type KvnoState,
  KvnoTable,
  type KvnoTableOptions,
  kvnoOf,
  MAX_KVNO,
} from './kvno-table.ts'
